import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurofocus.early_exit.criteria import NEVER, always, uncertainty
from neurofocus.schema.early_exit import Criterion

CRITERIA: tuple[Criterion, ...] = ("entropy", "max_probability")


def test_entropy_in_nats_by_hand() -> None:
    found = uncertainty(np.array([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]]), "entropy")
    assert found == pytest.approx([0.693147, 0.0, 0.562335], abs=1e-6)


def test_largest_probability_by_hand() -> None:
    assert uncertainty(np.array([[0.2, 0.7, 0.1]]), "max_probability") == pytest.approx([0.3])


@pytest.mark.parametrize("criterion", CRITERIA)
@given(logits=st.lists(st.floats(-40, 40), min_size=2, max_size=20), seed=st.integers(0, 9))
def test_between_never_and_always_whatever_the_order_of_classes(
    criterion: Criterion, logits: list[float], seed: int
) -> None:
    exponents = np.exp(np.array(logits) - max(logits))
    probabilities = exponents / exponents.sum()
    found = float(uncertainty(probabilities, criterion))
    assert NEVER < found <= always(len(logits), criterion)
    mixed = np.random.default_rng(seed).permutation(probabilities)
    assert float(uncertainty(mixed, criterion)) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("classes", [2, 10, 400])
def test_a_uniform_prediction_is_met_by_always_only_just(criterion: Criterion, classes: int) -> None:
    found = float(uncertainty(np.full(classes, 1 / classes), criterion))
    assert 0 <= always(classes, criterion) - found < 1e-5

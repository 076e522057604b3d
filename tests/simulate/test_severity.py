import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from neurofocus.schema.cohort import SimulationConfig
from neurofocus.schema.load import load_cohort_spec
from neurofocus.simulate.bayes import area_under_curve, compute_ceiling, evidence
from neurofocus.simulate.severity import Subject, draw_deviations, draw_subject, log_likelihood_ratio


def _cohort(config: SimulationConfig) -> list[Subject]:
    return [draw_subject(config, index) for index in range(config.subjects)]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), index=st.integers(0, 500))
def test_a_subject_is_a_function_of_seed_and_index(seed: int, index: int) -> None:
    small = SimulationConfig(seed=seed, subjects=8)
    large = SimulationConfig(seed=seed, subjects=300)
    assert draw_subject(small, index) == draw_subject(large, index)
    assert draw_subject(small, index) != draw_subject(SimulationConfig(seed=seed + 1), index)


@pytest.mark.parametrize("labels", ["disease", "null"])
def test_pairs_match_in_everything_but_the_label(labels: str) -> None:
    subjects = _cohort(SimulationConfig.model_validate({"labels": labels, "subjects": 120, "seed": 4}))
    for first, second in zip(subjects[::2], subjects[1::2], strict=True):
        assert {first.label, second.label} == {"CN", "AD"}
        assert {first.diseased, second.diseased} == {True, False}
        assert (first.sex, first.site) == (second.sex, second.site)
        assert abs(first.age - second.age) <= 3.1
    positions = [index % 2 for index, s in enumerate(subjects) if s.label == "AD"]
    assert 0.3 < np.mean(positions) < 0.7  # the order of the table does not tell the label


def test_healthy_subjects_carry_no_disease_and_all_age() -> None:
    for subject in _cohort(SimulationConfig(subjects=60)):
        severity = subject.severity
        assert (severity.disease == (0.0, 0.0)) == (not subject.diseased)
        assert min(severity.aging) >= 0
        expected = np.array(severity.healthy) + severity.aging
        np.testing.assert_allclose(severity.without_disease, expected)
        np.testing.assert_allclose(severity.total, expected + severity.disease)


def test_aging_is_half_to_one_percent_of_the_hippocampus_a_year() -> None:
    for subject in _cohort(SimulationConfig(subjects=200)):
        if subject.age > 65:
            yearly = subject.severity.aging[0] / (subject.age - 60) * np.log(1 - 0.22)
            assert -0.0105 < yearly < -0.0045


def test_draws_have_the_moments_of_the_likelihood() -> None:
    config = SimulationConfig(severity=1.4)
    draws = draw_deviations(config, 200_000, np.random.default_rng(0), diseased=True)
    healthy = draw_deviations(config, 200_000, np.random.default_rng(1), diseased=False)
    np.testing.assert_allclose(draws.mean(axis=0), 1.4, atol=0.01)
    np.testing.assert_allclose(healthy.mean(axis=0), 0.0, atol=0.01)
    oracle = multivariate_normal(draws.mean(axis=0), np.cov(draws.T)).logpdf
    control = multivariate_normal(healthy.mean(axis=0), np.cov(healthy.T)).logpdf
    points = np.array([[0.0, 0.0], [1.0, 0.5], [-0.5, 1.0], [2.0, 2.0]])
    ratio = log_likelihood_ratio(config, points)
    np.testing.assert_allclose(ratio, oracle(points) - control(points), atol=0.1)


def test_area_under_curve_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    labels = rng.random(200) < 0.4
    scores = np.round(rng.standard_normal(200) + labels, 1)  # with ties
    assert area_under_curve(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


@pytest.mark.parametrize(("name", "low", "high"), [("demo", 0.97, 0.998), ("demo-mild", 0.90, 0.955)])
def test_ceilings_of_the_shipped_cohorts(name: str, low: float, high: float) -> None:
    config = load_cohort_spec(name).simulation
    assert config is not None
    subjects = _cohort(config)
    ceiling = compute_ceiling(config, subjects)
    truth = np.array([s.label == "AD" for s in subjects])
    score = evidence(config, subjects)
    assert ceiling["auc"] == pytest.approx(roc_auc_score(truth, score))
    assert ceiling["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, score > 0))
    assert low <= ceiling["auc"] <= high
    assert low <= ceiling["population_auc"] <= high


def test_no_single_measure_beats_the_ceiling() -> None:
    config = SimulationConfig(subjects=2000, severity=1.5, seed=9)
    subjects = _cohort(config)
    truth = [s.label == "AD" for s in subjects]
    best = compute_ceiling(config, subjects)["auc"]
    for component in (0, 1):
        single = [s.severity.healthy[component] + s.severity.disease[component] for s in subjects]
        assert roc_auc_score(truth, single) < best


def test_labels_of_the_null_cohort_carry_nothing() -> None:
    config = SimulationConfig(labels="null", subjects=2000, severity=1.5)
    subjects = _cohort(config)
    ceiling = compute_ceiling(config, subjects)
    assert (ceiling["auc"], ceiling["population_auc"], ceiling["balanced_accuracy"]) == (0.5, 0.5, 0.5)
    assert ceiling["disease_auc_on_these_labels"] == pytest.approx(0.5, abs=0.05)
    agreement = np.mean([(s.label == "AD") == s.diseased for s in subjects])
    assert agreement == pytest.approx(0.5, abs=0.05)


def test_the_confounded_cohort_ties_the_site_to_the_label() -> None:
    config = SimulationConfig(subjects=2000, confounded=True)
    subjects = _cohort(config)
    follows = np.mean([(s.label == "AD") == (s.site == "SITE-B") for s in subjects])
    assert follows == pytest.approx(0.9, abs=0.03)
    ceiling = compute_ceiling(config, subjects)
    assert ceiling["auc"] > ceiling["anatomy_auc"] + 0.01
    assert ceiling["population_auc"] == pytest.approx(ceiling["auc"], abs=0.01)


def test_without_severity_the_ceiling_is_chance() -> None:
    config = SimulationConfig(subjects=40, severity=0.0)
    ceiling = compute_ceiling(config, _cohort(config))
    assert ceiling["auc"] == pytest.approx(0.5)
    assert ceiling["population_auc"] == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["demo", "demo-mild", "demo-null", "demo-confounded"])
def test_demographics_are_balanced(name: str) -> None:
    spec = load_cohort_spec(name)
    config = spec.simulation
    assert config is not None
    assert spec.synthetic
    assert spec.title.startswith("SYNTHETIC")
    subjects = _cohort(config)
    ill = [s for s in subjects if s.label == "AD"]
    well = [s for s in subjects if s.label == "CN"]
    assert len(ill) == len(well)
    assert sum(s.sex == "F" for s in ill) == sum(s.sex == "F" for s in well)
    assert np.mean([s.age for s in ill]) == pytest.approx(np.mean([s.age for s in well]), abs=0.5)
    if not config.confounded:
        assert sum(s.site == "SITE-A" for s in ill) == sum(s.site == "SITE-A" for s in well)

"""The public names of the package load what they need on first use (that importing it is cheap: test_cli_startup)."""

from importlib import import_module

import pytest

import neurofocus


@pytest.mark.parametrize("name", ["predict", "cross_validate"])
def test_lazy_names(name: str) -> None:
    assert name not in vars(neurofocus)
    assert getattr(neurofocus, name) is getattr(import_module(f"neurofocus.workflows.{name}"), name)


def test_other_names_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="module 'neurofocus' has no attribute 'fit'"):
        neurofocus.fit  # noqa: B018  (the access itself is what is tested)


def test_everything_promised_is_there() -> None:
    assert all(hasattr(neurofocus, name) for name in neurofocus.__all__)
    assert dir(neurofocus) == sorted(neurofocus.__all__)
    assert neurofocus.__version__.count(".") == 2

import pytest

from neurofocus import errors
from neurofocus.errors import NeurofocusError


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name != "NeurofocusError"])
def test_every_error_of_ours_is_one_that_a_user_can_mend(name: str) -> None:
    error = getattr(errors, name)
    assert error.__mro__[1] is NeurofocusError
    assert str(error("scan.nii: empty")) == "scan.nii: empty"


def test_they_are_no_builtin_mistakes() -> None:
    assert NeurofocusError.__bases__ == (Exception,)

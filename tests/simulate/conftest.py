import pytest

from neurofocus.simulate.studio import Studio, build_studio


@pytest.fixture(scope="session")
def studio() -> Studio:
    return build_studio()

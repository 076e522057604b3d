"""One prediction with the tiny SYNTHETIC bundle, and the module of the tiny SYNTHETIC fold."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from neurofocus.workflows.bundle import ModelBundle
from neurofocus.workflows.predict import Prediction, predict
from neurofocus.workflows.runtime import load_for_prediction


@pytest.fixture(scope="session")
def bundle(tiny_bundle: Path) -> ModelBundle:
    return load_for_prediction(tiny_bundle, "cpu")


@pytest.fixture(scope="session")
def done(tiny_scan: Path, bundle: ModelBundle, tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """The prediction of a simulated scan, written to a folder that did not exist."""
    return predict(tiny_scan, bundle, out=tmp_path_factory.mktemp("predicted") / "deep" / "out")


@pytest.fixture(scope="session")
def synthetic() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        yield importlib.import_module("synthetic_fold")

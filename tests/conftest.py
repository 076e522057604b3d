"""What many tests share: a private cache, the command in this process, and one tiny SYNTHETIC run.

Everything is made once, also when pytest-xdist runs several workers: they share a folder and wait for each other.
Tests only read what these fixtures return.
"""

import logging
import os

# Before torch is loaded: two workers with two threads each would spend the cores on waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    from neurofocus.schema.cohort import CohortSpec
    from neurofocus.simulate.studio import Studio

TINY = Path(__file__).parent / "tiny"

Command = Callable[..., int]

settings.register_profile("suite", deadline=None)  # on a busy machine any example may take long
settings.load_profile("suite")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test session share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def private_cache(shared: Path) -> Iterator[Path]:
    """No test reads or fills the cache of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROFOCUS_CACHE", str(shared / "cache"))
        yield shared / "cache"


@pytest.fixture
def command() -> Iterator[Command]:
    """Run ``neurofocus ARGUMENTS…`` in this process and return its exit code; logging is put back."""
    (point,) = entry_points(group="console_scripts", name="neurofocus")
    main: Callable[[Sequence[str]], int] = point.load()
    logger = logging.getLogger("neurofocus")
    before = (logger.handlers, logger.propagate, logger.level)
    yield lambda *arguments: main([str(argument) for argument in arguments])
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.fixture(scope="session")
def tiny_cohort() -> Path:
    """The definition of the tiny SYNTHETIC cohort: 8 healthy and 8 ill subjects at 4 mm."""
    return TINY / "cohort.yaml"


@pytest.fixture(scope="session")
def tiny_config() -> Path:
    """The configuration of a run that takes seconds."""
    return TINY / "run.yaml"


@pytest.fixture(scope="session")
def studio(shared: Path) -> "Studio":
    """What all simulated scans are made from."""
    from neurofocus.simulate.studio import build_studio, load_studio, save_studio

    path = shared / "studio.npz"
    with FileLock(shared / "studio.lock"):
        if not path.exists():
            save_studio(build_studio(), path)
    return load_studio(path)


@pytest.fixture(scope="session")
def simulate(request: pytest.FixtureRequest) -> "Callable[[CohortSpec, Path], Path]":
    """Simulate a cohort in a folder, with the studio of all tests."""
    from neurofocus.simulate import cohort

    def simulated(spec: "CohortSpec", folder: Path) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cohort, "build_studio", lambda: request.getfixturevalue("studio"))
            return cohort.ensure_simulated(spec, folder)

    return simulated


@pytest.fixture(scope="session")
def tiny_data(tiny_cohort: Path, private_cache: Path, simulate: "Callable[[CohortSpec, Path], Path]") -> Path:
    """The tiny cohort's BIDS data set."""
    from neurofocus.schema.load import load_cohort_spec

    return simulate(load_cohort_spec(tiny_cohort), private_cache)


@pytest.fixture(scope="session")
def eight_data(shared: Path, simulate: "Callable[[CohortSpec, Path], Path]") -> Path:
    """The BIDS data set of eight other people, alone in its cache; see tiny/eight.yaml."""
    from neurofocus.schema.load import load_cohort_spec

    return simulate(load_cohort_spec(TINY / "eight.yaml"), shared / "eight")


@pytest.fixture(scope="session")
def tiny_run(shared: Path, tiny_cohort: Path, tiny_config: Path, tiny_data: Path) -> Path:
    """The folder of a finished cross-validation of the tiny cohort."""
    from neurofocus.workflows.cross_validate import cross_validate, run_config

    out = shared / "tiny-run"
    with FileLock(shared / "tiny-run.lock"):
        if not (out / "report.html").exists():
            cross_validate(run_config(str(tiny_cohort), tiny_config), out=out, device="cpu")
    return out


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run: Path) -> Path:
    """The bundle of that run."""
    return tiny_run / "bundle"


@pytest.fixture(scope="session")
def tiny_scan(tiny_data: Path) -> Path:
    """One simulated scan, in template space as its name says."""
    return min(tiny_data.glob("sub-*/anat/*_space-MNI152*_T1w.nii.gz"))

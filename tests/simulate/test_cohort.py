import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from neurofocus.errors import CohortError
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec
from neurofocus.simulate.cohort import bayes_ceiling, cohort_folder, ensure_simulated

SPEC = load_cohort_spec(Path(__file__).parents[1] / "tiny" / "eight.yaml")
_SCAN = re.compile(r"(sub-SIM\d{3})/anat/\1_space-MNI152NLin2009aSym_desc-synthetic_T1w\.(nii\.gz|json)")
_CHANGE = re.compile(r"truth/sub-SIM\d{3}_space-MNI152NLin2009aSym_desc-change_map\.nii\.gz")
_REST = {
    "README",
    ".bidsignore",
    "dataset_description.json",
    "participants.json",
    "participants.tsv",
    "simulation.json",
    "truth/bayes.json",
    "truth/dataset_description.json",
    "truth/severities.json",
    "truth/severities.tsv",
    "truth/space-MNI152NLin2009aSym_desc-changeregion_mask.json",
    "truth/space-MNI152NLin2009aSym_desc-changeregion_mask.nii.gz",
}


def _hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def root(eight_data: Path) -> Path:
    return eight_data


def _participants(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "participants.tsv", sep="\t")


def test_every_file_is_named_as_bids_or_known(root: Path) -> None:
    names = set(_hashes(root))
    scans = {name for name in names if _SCAN.fullmatch(name)}
    changes = {name for name in names if _CHANGE.fullmatch(name)}
    assert len(scans) == 16
    assert len(changes) == 4
    assert names - scans - changes == _REST


def test_participants_and_descriptions(root: Path) -> None:
    table = _participants(root)
    assert list(table.columns) == ["participant_id", "age", "sex", "site", "tiv_ml", "diagnosis"]
    assert table.participant_id.tolist() == [f"sub-SIM{n:03d}" for n in range(1, 9)]
    assert table.diagnosis.value_counts().to_dict() == {"CN": 4, "AD": 4}
    assert table.sex.isin(["F", "M"]).all()
    assert table.age.between(60, 88).all()
    description = json.loads((root / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "neurofocus"
    columns = json.loads((root / "participants.json").read_text())
    assert set(columns) == set(table.columns) - {"participant_id"}


def test_everything_that_can_says_synthetic(root: Path) -> None:
    for path in root.rglob("*"):
        if path.suffix == ".json" or path.name == "README":
            assert "SYNTHETIC" in path.read_text() or '"synthetic": true' in path.read_text(), path
        if path.name.endswith(".nii.gz"):
            assert b"SYNTHETIC" in bytes(nibabel.load(path).header["descrip"]), path


def test_images_share_grid_and_space(root: Path) -> None:
    images = [nibabel.load(path) for path in root.rglob("*.nii.gz")]
    for image in images:
        assert image.shape == images[0].shape
        np.testing.assert_array_equal(image.affine, images[0].affine)
        assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (4, 4)
        np.testing.assert_allclose(image.get_qform(), image.get_sform())
        assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
        assert image.header.get_zooms() == (4.0, 4.0, 4.0)


def test_scans_are_stored_as_a_scanner_would(root: Path) -> None:
    for path in root.glob("sub-*/anat/*.nii.gz"):
        image = nibabel.load(path)
        values = np.asarray(image.dataobj)
        assert image.get_data_dtype() == np.int16
        assert np.issubdtype(values.dtype, np.integer) or (values == values.round()).all()
        assert values.min() >= 0 and 300 < values.max() <= 4095
        assert 1.1e6 < (values > 0).sum() * 64 < 2.6e6  # cubic millimetres of brain


def test_truth_matches_the_diseased_and_the_region_is_small(root: Path) -> None:
    severities = pd.read_csv(root / "truth" / "severities.tsv", sep="\t")
    table = _participants(root)
    assert severities.participant_id.tolist() == table.participant_id.tolist()
    diseased = set(severities.participant_id[severities.diseased == 1])
    assert diseased == set(table.participant_id[table.diagnosis == "AD"])
    assert {path.name.split("_")[0] for path in root.glob("truth/*_map.nii.gz")} == diseased
    assert (severities.smallest_jacobian > 0.2).all()
    change = np.mean([nibabel.load(path).get_fdata() for path in root.glob("truth/*_map.nii.gz")], axis=0)
    mask = nibabel.load(next(root.glob("truth/*_mask.nii.gz"))).get_fdata() > 0
    brain = (
        np.mean([np.asarray(nibabel.load(p).dataobj) > 0 for p in root.glob("sub-*/anat/*.gz")], axis=0) > 0.5
    )
    assert 0 < mask.sum() <= 0.10 * brain.sum()
    assert change[mask].sum() > 0.6 * change.sum()
    assert 0.05 < change.max() <= 255 / 250


def test_ceiling_is_read_back_and_refused_elsewhere(root: Path, tmp_path: Path) -> None:
    ceiling = bayes_ceiling(root)
    assert 0.9 < ceiling["population_auc"] < 1
    assert ceiling["how"].startswith("SYNTHETIC")
    with pytest.raises(CohortError, match=r"bayes\.json"):
        bayes_ceiling(tmp_path)


def test_second_call_returns_the_same_folder_untouched(root: Path) -> None:
    before = (root / "participants.tsv").stat().st_mtime_ns
    assert ensure_simulated(SPEC, root.parent.parent) == root
    assert (root / "participants.tsv").stat().st_mtime_ns == before
    leftovers = {path.name for path in root.parent.iterdir()} - {root.name, f".{root.name}.lock"}
    assert not leftovers


def test_other_settings_live_elsewhere(tmp_path: Path) -> None:
    assert SPEC.simulation is not None
    changed = SPEC.model_copy(update={"simulation": SPEC.simulation.model_copy(update={"seed": 8})})
    assert cohort_folder(changed, tmp_path) != cohort_folder(SPEC, tmp_path)
    with pytest.raises(CohortError, match="simulation"):
        cohort_folder(CohortSpec.model_validate(_real_cohort()), tmp_path)


def _real_cohort() -> dict[str, object]:
    values = SPEC.model_dump(exclude={"simulation"})
    return values | {"name": "real", "synthetic": False}


@pytest.mark.slow
def test_concurrent_callers_and_processes_agree_with_a_single_one(root: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: ensure_simulated(SPEC, tmp_path, jobs=2), range(2)))
    assert folders[0] == folders[1]
    assert _hashes(folders[0]) == _hashes(root)


_SCRIPT = """
import sys
from pathlib import Path
from neurofocus.schema.cohort import CohortSpec
from neurofocus.simulate.cohort import ensure_simulated
if __name__ == "__main__":
    ensure_simulated(CohortSpec.model_validate_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_generator_continues_and_leaves_no_worker(root: Path, tmp_path: Path) -> None:
    script, spec, cache = tmp_path / "make.py", tmp_path / "spec.json", tmp_path / "cache"
    script.write_text(_SCRIPT)
    spec.write_text(SPEC.model_dump_json())
    process = subprocess.Popen([sys.executable, str(script), str(spec), str(cache)])
    target = cohort_folder(SPEC, cache)
    work = target.parent / f".{target.name}.work"
    try:
        deadline = time.monotonic() + 600
        while len(list(work.glob("sub-*.json"))) < 2:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        children = _children(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert children
    assert not target.exists()
    deadline = time.monotonic() + 120
    while any(_alive(pid) for pid in children):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.05)
    finished = {path.name: path.stat().st_mtime_ns for path in work.glob("sub-*.json")}
    stray = target.parent / f".{target.name}.building" / "sub-SIM001" / "anat" / ".0.nf-partial.x.nii.gz"
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"half a file")
    assert 2 <= len(finished) < 8
    assert ensure_simulated(SPEC, cache, jobs=1) == target
    assert _hashes(target) == _hashes(root)


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.parent.name))
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state != "Z"


@pytest.mark.slow
def test_a_script_without_a_main_guard_is_told_so_and_does_not_hang(tmp_path: Path) -> None:
    script, spec = tmp_path / "make.py", tmp_path / "spec.json"
    script.write_text(_SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    spec.write_text(SPEC.model_dump_json())
    done = subprocess.run(
        [sys.executable, str(script), str(spec), str(tmp_path / "cache")],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert "__main__" in done.stderr


@pytest.mark.slow
def test_a_script_from_standard_input_works_in_one_process(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    assert SPEC.simulation is not None
    spec.write_text(SPEC.model_dump_json())
    done = subprocess.run(
        [sys.executable, "-", str(spec), str(tmp_path / "cache")],
        input=_SCRIPT,
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert cohort_folder(SPEC, tmp_path / "cache").is_dir()

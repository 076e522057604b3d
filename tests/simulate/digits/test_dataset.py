"""The data set on disk: real MP4 files that show what the truth says."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from neurofocus.errors import VideoError
from neurofocus.simulate.digits.dataset import digits_folder, ensure_digits
from neurofocus.simulate.digits.recipe import PARTS, DigitsConfig, Part
from neurofocus.simulate.digits.truth import read_truth

CONFIG = DigitsConfig(seed=5, train=60, validation=20, test=30, stills=20)


def _hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_digits(CONFIG, tmp_path_factory.mktemp("cache"), jobs=1)


def test_the_tree_is_a_folder_a_part_and_class_and_every_video_says_synthetic(root: Path) -> None:
    names = set(_hashes(root))
    videos = {name for name in names if name.endswith(".mp4")}
    pattern = re.compile(r"(train|validation|test|stills)/\d/SYNTHETIC_digits_\1_\d{5}\.mp4")
    assert all(pattern.fullmatch(name) for name in videos)
    counts = {part: sum(name.startswith(part + "/") for name in videos) for part in PARTS}
    assert counts == {part: CONFIG.count(part) for part in PARTS}
    tables = {f"truth/{part}_{kind}.tsv" for part in PARTS for kind in ("videos", "frames")}
    assert names - videos == tables | {"README", "digits.json"}
    for name in ("README", "digits.json"):
        assert "SYNTHETIC" in (root / name).read_text()


def test_files_are_ordinary_videos(root: Path) -> None:
    for path in list(root.glob("test/*/*.mp4"))[:3]:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name in ("h264", "mpeg4")
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert (stream.width, stream.height, stream.frames) == (96, 96, 24)
            assert float(stream.average_rate or 0) == 12
            assert "SYNTHETIC" in container.metadata["title"]


@pytest.mark.parametrize("part", PARTS)
def test_the_digit_is_where_and_when_the_truth_says(root: Path, part: Part) -> None:
    truth = read_truth(root, part)
    assert len(truth.paths) == CONFIG.count(part)
    seen, expected = [], []
    for path, present, boxes in zip(truth.paths[:20], truth.present, truth.boxes, strict=False):
        frames = _decode(root / path).astype(float)
        vivid = (frames.max(-1) - frames.min(-1)) > 110
        seen.append(vivid.sum((1, 2)) > 3)
        expected.append(present)
        for t in np.flatnonzero(present & seen[-1]):
            y, x = np.nonzero(vivid[t])
            x_c, y_c, height, width = boxes[t]
            # Colour is stored at half resolution, so it spills by two pixels.
            assert (np.abs(x + 0.5 - x_c) <= width / 2 + 3).all()
            assert (np.abs(y + 0.5 - y_c) <= height / 2 + 3).all()
    agreement = np.mean(np.stack(seen) == np.stack(expected))
    assert agreement > 0.97  # the smallest halves of digits are a few strokes


def test_tables_agree_with_the_folders(root: Path) -> None:
    for part in PARTS:
        videos = pd.read_csv(root / "truth" / f"{part}_videos.tsv", sep="\t")
        assert (videos.path.str.split("/").str[1].astype(int) == videos.label).all()
        assert all((root / path).is_file() for path in videos.path)
        frames = pd.read_csv(root / "truth" / f"{part}_frames.tsv", sep="\t")
        counts = frames.groupby("path").size()
        assert (videos.set_index("path").num_evidence_frames == counts.reindex(videos.path)).all()
    truth = read_truth(root, "test")
    hard = np.array([kind == "hard" for kind in truth.difficulty])
    assert set(truth.present[hard].sum(1)) == {6} and set(truth.present[~hard].sum(1)) == {8}


def test_parts_share_no_handwritten_image(root: Path) -> None:
    images = {part: set(pd.read_csv(root / "truth" / f"{part}_frames.tsv", sep="\t").image) for part in PARTS}
    assert not images["train"] & images["validation"]
    assert not images["test"] & (images["train"] | images["validation"] | images["stills"])


def test_truth_of_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"test_videos\.tsv: not there"):
        read_truth(tmp_path, "test")


def test_a_second_call_returns_the_same_folder_untouched(root: Path) -> None:
    before = (root / "README").stat().st_mtime_ns
    assert ensure_digits(CONFIG, root.parent.parent) == root
    assert (root / "README").stat().st_mtime_ns == before
    assert {path.name for path in root.parent.iterdir()} == {root.name, f".{root.name}.lock"}


def test_other_settings_live_elsewhere(tmp_path: Path) -> None:
    assert digits_folder(CONFIG, tmp_path) != digits_folder(CONFIG.model_copy(update={"seed": 6}), tmp_path)


def test_an_interrupted_call_is_continued(root: Path, tmp_path: Path) -> None:
    """Finished chunks are kept (their files are not written again); the rest comes out as in one go."""
    target = digits_folder(CONFIG, tmp_path)
    staging, work = (target.parent / f".{target.name}.{kind}" for kind in ("building", "work"))
    work.mkdir(parents=True)
    shutil.copytree(root / "train", staging / "train")
    kept = staging / "train" / "0" / "SYNTHETIC_digits_train_00000.mp4"
    before = kept.stat().st_mtime_ns
    videos = pd.read_csv(root / "truth" / "train_videos.tsv", sep="\t", dtype={"label": str}).head(40)
    frames = pd.read_csv(root / "truth" / "train_frames.tsv", sep="\t").groupby("path")
    notes = [
        {
            "path": row.path,
            "label": row.label,
            "difficulty": row.difficulty,
            "num_frames": row.num_frames,
            "frames": [
                {
                    "frame": f.frame,
                    "box": [f.x_center, f.y_center, f.height, f.width],
                    "hidden": f.hidden,
                    "image": f.image,
                }
                for f in frames.get_group(row.path).itertuples()
            ],
        }
        for row in videos.itertuples()
    ]
    (work / "train-000000.json").write_text(json.dumps({"files": notes}))
    stray = staging / "train" / "3" / ".0.nf-partial.x.mp4"
    stray.write_bytes(b"half a file")
    assert ensure_digits(CONFIG, tmp_path, jobs=1) == target
    assert (target / "train" / "0" / kept.name).stat().st_mtime_ns == before
    assert _hashes(target) == _hashes(root)


_SCRIPT = """
import sys
from pathlib import Path
from neurofocus.simulate.digits.dataset import ensure_digits
from neurofocus.simulate.digits.recipe import DigitsConfig
if __name__ == "__main__":
    ensure_digits(DigitsConfig.model_validate_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_generator_continues_with_two_processes(root: Path, tmp_path: Path) -> None:
    script, settings, cache = tmp_path / "make.py", tmp_path / "digits.json", tmp_path / "cache"
    script.write_text(_SCRIPT)
    settings.write_text(CONFIG.model_dump_json())
    command = [sys.executable, str(script), str(settings), str(cache)]
    target = digits_folder(CONFIG, cache)
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 120
        while not list((target.parent / f".{target.name}.work").glob("*.json")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not target.exists()
    subprocess.run(command, check=True, timeout=300)
    assert _hashes(target) == _hashes(root)

"""``torchrun … video train``: two processes share every batch and end with the answers of one."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from workflows.video.tiny_video import SMALL, put_clips_by_class

# Dropped units are the one thing that each process draws for itself.
SAME = ("model.classifier.dropout=0", "model.auxiliary_dropout=0")


@pytest.mark.slow
def test_two_processes_end_with_the_answers_of_one(tmp_path: Path) -> None:
    data = put_clips_by_class(tmp_path / "clips")
    settings = [word for change in (*SMALL, *SAME) for word in ("--set", change)]
    launchers = {
        "one": [],
        "two": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
    }
    logits = []
    for name, launcher in launchers.items():
        command = [sys.executable, *launcher, "-m", "neurofocus.cli", "video", "train", "--dataset", "folder"]
        command += ["--data", data, "--device", "cpu", "--out", tmp_path / name, *settings, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        metrics = json.loads(done.stdout)  # one process speaks
        assert (metrics["out"], metrics["n_videos"]) == (str(tmp_path / name), 2)
        stored = np.load(tmp_path / name / "logits.npz")
        assert stored["clip_id"].tolist() == ["test/cat/1", "test/dog/1"]
        logits.append(stored["logits"])
    assert np.abs(logits[0] - logits[1]).max() < 2e-3

"""``torchrun … cv``: two processes share every batch and end with the predictions of one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurofocus.tables import read_tsv

# Dropped units are the one thing that each process draws for itself.
SAME = ["--set", "model.classifier.dropout=0", "--set", "model.auxiliary_dropout=0"]


@pytest.mark.slow
def test_two_processes_end_with_the_predictions_of_one(
    tmp_path: Path, tiny_cohort: Path, tiny_config: Path, tiny_data: Path
) -> None:
    launchers = {
        "one": [],
        "two": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
    }
    tables = []
    for name, launcher in launchers.items():
        command = [sys.executable, *launcher, "-m", "neurofocus.cli", "cv", "--cohort", tiny_cohort]
        command += ["--config", tiny_config, "--data", tiny_data, "--device", "cpu", "--out", tmp_path / name]
        done = subprocess.run(
            [*command, *SAME],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("balanced_accuracy") == 1  # one process speaks
        tables.append(read_tsv(tmp_path / name / "predictions.tsv", numbers=["prob_AD"]))
    one, two = tables
    assert one["participant_id"].tolist() == two["participant_id"].tolist()
    assert np.abs(one["prob_AD"] - two["prob_AD"]).max() < 2e-3
    assert '"processes": 2' in (tmp_path / "two" / "fold-1" / "validation.json").read_text()

"""Checkpoints: exact, verified to the last bit, never half written."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from neurofocus.errors import BundleError
from neurofocus.training import checkpoint
from neurofocus.training.checkpoint import read_checkpoint, write_checkpoint


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "b/weight": torch.randn(3, 4, generator=generator),
        "a/strided": torch.randn(4, 6, generator=generator)[:, ::2],
        "a/half": torch.randn(5, generator=generator).bfloat16(),
        "step": torch.tensor(7, dtype=torch.int64),
        "empty": torch.zeros(0),
    }


STATE = {"epoch": 3, "loss": 0.1 + 0.2, "text": "sha256=" + "0" * 64, "none": None, "list": [1, 2.5]}


def test_round_trip_is_exact(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "last.safetensors", tensors(), STATE)
    found, state = read_checkpoint(tmp_path / "last.safetensors")
    assert state == STATE
    assert found.keys() == tensors().keys()
    for name, value in tensors().items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "one", tensors(), STATE)
    write_checkpoint(tmp_path / "two", dict(reversed(tensors().items())), dict(reversed(STATE.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_file_is_plain_safetensors(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "last.safetensors", tensors(), STATE)
    with safe_open(tmp_path / "last.safetensors", framework="pt") as file:
        assert set(file.keys()) == tensors().keys()
        assert json.loads(file.metadata()["neurofocus"])[2] == STATE


def test_tensors_that_share_memory_are_stored(tmp_path: Path) -> None:
    base = torch.arange(4.0)
    write_checkpoint(tmp_path / "c", {"one": base, "two": base}, {})
    found, _ = read_checkpoint(tmp_path / "c")
    assert torch.equal(found["one"], base) and torch.equal(found["two"], base)


def test_nan_in_the_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_checkpoint(tmp_path / "c", tensors(), {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "c"
    write_checkpoint(path, tensors(), STATE)
    return path.read_bytes()


@settings(max_examples=200)
@given(data=st.data())
def test_any_flipped_bit_is_found(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped"
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    with pytest.raises(BundleError, match=r"flipped: damaged checkpoint.*--fresh"):
        read_checkpoint(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_truncated_file_is_refused(whole: bytes, tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BundleError, match="cut: damaged"):
        read_checkpoint(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "torch.pt")
    for name in ("torch.pt", "missing", "."):
        with pytest.raises(BundleError, match="--fresh"):
            read_checkpoint(tmp_path / name)


def test_checkpoint_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_FORMAT", "neurofocus-checkpoint-0")
        write_checkpoint(tmp_path / "old", tensors(), STATE)
    with pytest.raises(BundleError, match=r"old: not a checkpoint of this version .*--fresh"):
        read_checkpoint(tmp_path / "old")


WRITER = """
import sys, torch
from pathlib import Path
from neurofocus.training.checkpoint import write_checkpoint
number = 0
while True:
    write_checkpoint(Path(sys.argv[1]), {"w": torch.full((200_000,), float(number))}, {"number": number})
    number += 1
"""


@pytest.mark.slow
def test_killed_writer_leaves_a_readable_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    chance = random.Random(0)
    for _ in range(8):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
        before = path.stat().st_mtime_ns if path.exists() else 0
        while not path.exists() or path.stat().st_mtime_ns == before:
            assert writer.poll() is None
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2))
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        found, state = read_checkpoint(path)
        assert torch.equal(found["w"], torch.full((200_000,), float(state["number"])))

"""Files of tensors: every accepted form reads the same, every other one is refused without running code."""

import hashlib
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from neurofocus.errors import BundleError, NeurofocusError
from neurofocus.model.tensor_files import describe_misfit, read_tensors


def tiny_state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "conv.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "norm.bias": torch.randn(4, generator=generator),
        "norm.num_batches_tracked": torch.tensor(7),
    }


def assert_one_line(error: pytest.ExceptionInfo[NeurofocusError]) -> None:
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_safetensors_nested_and_prefixed_files_hold_the_same(tmp_path: Path) -> None:
    state = tiny_state()
    save_file(state, tmp_path / "a.safetensors")
    nested = {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}
    torch.save(nested, tmp_path / "b.pth.tar")
    for name in ("a.safetensors", "b.pth.tar"):
        seen = read_tensors(tmp_path / name)
        assert set(seen) == set(state)
        assert all(torch.equal(seen[key], state[key]) for key in state)


def rewrite_module(source: Path, target: Path, old: bytes, new: bytes) -> None:
    """Copy a file of torch.save with one module's name replaced in its pickle."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, content.replace(old, new) if name.endswith("data.pkl") else content)


def test_metrics_beside_the_state_do_no_harm(tmp_path: Path) -> None:
    state = tiny_state()
    metrics = {"best": np.float64(80.7), "loss": np.float32(0.5), "step": np.int64(3), "arch": "resnet"}
    torch.save({"state_dict": state, **metrics}, tmp_path / "new.pth")
    rewrite_module(
        tmp_path / "new.pth", tmp_path / "old.pth", b"numpy._core.multiarray", b"numpy.core.multiarray"
    )
    for name in ("new.pth", "old.pth"):
        seen = read_tensors(tmp_path / name)
        assert list(seen) == list(state)
        assert all(torch.equal(seen[key], state[key]) for key in state)


class _Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


def hostile(tmp_path: Path, kind: str) -> Path:
    """Write one file that is not a state dict."""
    path = tmp_path / f"{kind}.pth"
    whole = tmp_path / "whole.pth"
    torch.save(tiny_state(), whole)
    data = whole.read_bytes()
    contents: dict[str, bytes] = {
        "empty": b"",
        "truncated": data[: len(data) // 2],
        "text": b"participant_id,age\nsub-01,70\n",
        "zip": b"PK\x03\x04" + bytes(100),
        "pickle": pickle.dumps({"a": _Payload(tmp_path / "ran")}),
        "pickle_protocol_0": pickle.dumps([1, 2, 3], protocol=0),
        "random": hashlib.sha256(b"x").digest() * 50,
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind == "payload":
        torch.save({"a": _Payload(tmp_path / "ran")}, path)
    elif kind == "list":
        torch.save([torch.zeros(1)], path)
    elif kind == "empty_dict":
        torch.save({}, path)
    elif kind == "numbers":
        torch.save({"a": torch.zeros(1), "b": 3}, path)
    elif kind == "module":
        torch.save(torch.nn.Linear(2, 2), path)
    else:
        raise ValueError(kind)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "empty",
        "truncated",
        "text",
        "zip",
        "pickle",
        "pickle_protocol_0",
        "random",
        "payload",
        "list",
        "empty_dict",
        "numbers",
        "module",
    ],
)
def test_a_file_that_is_no_state_dict_is_one_line(tmp_path: Path, kind: str) -> None:
    path = hostile(tmp_path, kind)
    with pytest.raises(BundleError, match="give") as error:
        read_tensors(path)
    assert_one_line(error)
    assert str(path) in str(error.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"\x08" + bytes(7) + b"{broken}", b"\xff" * 64])
def test_broken_safetensors_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="not a readable weight file") as error:
        read_tensors(path)
    assert_one_line(error)


def test_mutated_files_never_raise_anything_else(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(8.0), "b": torch.ones(2, 2)}, tmp_path / "whole.pth")
    whole = bytearray((tmp_path / "whole.pth").read_bytes())
    generator = torch.Generator().manual_seed(5)
    path = tmp_path / "mutated.pth"
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(4):
            at = int(torch.randint(len(data), (1,), generator=generator))
            data[at] = int(torch.randint(256, (1,), generator=generator))
        path.write_bytes(data)
        try:
            read_tensors(path)
        except BundleError:
            refused += 1
    assert refused > 10  # a flipped payload byte loads silently: that is what the SHA-256 is for


def test_misfit_is_described_in_one_line_or_empty() -> None:
    state = {name: torch.zeros(2) for name in "abcde"}
    assert describe_misfit(state, state) == ""
    other = {"a": torch.zeros(2), "b": torch.zeros(3, 1), "z": torch.zeros(1)}
    assert describe_misfit(state, other) == (
        "1 missing: z; 3 unexpected: c, d, e; 1 other shape: b (2,) instead of (3, 1)"
    )
    assert describe_misfit(state, {}) == "5 unexpected: a, b, c and 2 more"

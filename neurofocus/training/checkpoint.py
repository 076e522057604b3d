"""Checkpoints: one file that holds the whole training state, written atomically and verified on reading.

The file is plain safetensors (nothing in it can run code). Its header carries the state that is not tensors
as JSON, and the SHA-256 of the whole file computed with that digest's place filled with zeros: any flipped
bit is found, and there is no second file that a crash could leave out of step.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from neurofocus.errors import BundleError
from neurofocus.files import write_bytes

__all__ = ["read_checkpoint", "write_checkpoint"]

_FORMAT = "neurofocus-checkpoint-1"
_MARK = b"sha256="
_BLANK = _MARK + b"0" * 64


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> str:
    """Write tensors and JSON state to one file; the old file stays valid until the new one is complete.

    The bytes depend on the arguments only: equal states give equal files.

    Args:
        path: the file.
        tensors: on any device; stored contiguous.
        state: what ``json`` can store, without NaN or infinity.

    Returns:
        The SHA-256 of the file's content as the header stores it.
    """
    # One metadata key: safetensors keeps several in no fixed order.
    text = json.dumps([_FORMAT, _BLANK.decode(), dict(state)], allow_nan=False, sort_keys=True)
    packed = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    data = save_safetensors(packed, metadata={"neurofocus": text})
    digest = hashlib.sha256(data).hexdigest()
    write_bytes(path, data.replace(_BLANK, _MARK + digest.encode(), 1))
    return digest


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``write_checkpoint`` wrote: tensors on the CPU and the state.

    Raises:
        BundleError: if the file is missing, damaged or not one of ours.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); start again with --fresh") from None
    header = 8 + int.from_bytes(data[:8], "little")
    start = data.find(_MARK, 0, header)
    stored = data[start + len(_MARK) : start + len(_BLANK)]
    blank = data[:start] + _BLANK + data[start + len(_BLANK) :]
    if start < 0 or hashlib.sha256(blank).hexdigest().encode() != stored:
        raise BundleError(
            f"{path}: damaged checkpoint (its SHA-256 does not match); delete the file to train this fold again, "
            "or start again with --fresh"
        )
    return _parse(path, data, header)


def _parse(path: Path, data: bytes, header: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        kind, _, state = json.loads(json.loads(data[8:header])["__metadata__"]["neurofocus"])
        tensors = load_safetensors(data)
    except (SafetensorError, KeyError, TypeError, ValueError):
        kind, state, tensors = None, {}, {}
    if kind != _FORMAT:
        raise BundleError(
            f"{path}: not a checkpoint of this version of neurofocus (expected {_FORMAT}); "
            "start again with --fresh"
        )
    return tensors, state

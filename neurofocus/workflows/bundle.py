"""The bundle: one folder with everything that prediction needs, verified by checksums."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from neurofocus.errors import BundleError
from neurofocus.files import atomic_folder, write_bytes
from neurofocus.inference.stages import ExportedModel, Network
from neurofocus.model.build import Model, build_model
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.resources import resource_path
from neurofocus.schema.base import first_problem
from neurofocus.schema.bundle import BundleManifest, FoldEntry
from neurofocus.schema.model import without_initial_weights

__all__ = [
    "INTENDED_USE",
    "ModelBundle",
    "default_bundle",
    "load_bundle",
    "pack_weights",
    "read_bundle",
    "read_manifest",
    "save_bundle",
]

INTENDED_USE = (
    "Research use only. Not a medical device; not for diagnosis or for any decision about a person."
)
_MANIFEST = "bundle.json"
_BLANK = "0" * 64


@dataclass(frozen=True)
class ModelBundle:
    """A loaded bundle for scans: its manifest and one model a fold, in evaluation mode.

    Attributes:
        manifest: what it says.
        models: of the folds.
        sha256: of the manifest.
        exported: the same models where another runtime answers; PyTorch's explain the answers all the same.
    """

    manifest: BundleManifest
    models: tuple[UniAdaFocus, ...]
    sha256: str
    exported: tuple[ExportedModel, ...] = ()

    @property
    def networks(self) -> tuple[Network, ...]:
        """What answers, one a fold."""
        return self.exported or self.models

    @property
    def threshold(self) -> float | None:
        """The mean of the folds' validation thresholds on the positive class; None: the largest probability."""
        thresholds = [fold.threshold for fold in self.manifest.folds if fold.threshold is not None]
        return sum(thresholds) / len(thresholds) if thresholds else None


def default_bundle() -> Path:
    """Return the folder of the small SYNTHETIC demo bundle that ships with the package."""
    return resource_path("bundles", "demo")


def pack_weights(state: dict[str, Tensor], precision: Literal["float32", "float16"]) -> bytes:
    """Return a state dict as safetensors bytes; ``float16`` halves matrices and kernels only.

    Normalisation parameters and running statistics (one axis) stay float32: they are tiny and their
    range is not bounded.
    """
    half = precision == "float16"
    packed = {
        name: (value.half() if half and value.is_floating_point() and value.ndim >= 2 else value).contiguous()
        for name, value in state.items()
    }
    return save_tensors(packed)


def save_bundle(folder: Path, manifest: BundleManifest, weights: list[bytes]) -> None:
    """Write a bundle folder in one step.

    Args:
        folder: the folder to make; an older one must be gone.
        manifest: its ``folds`` are replaced by entries with the real checksums; order as ``weights``.
        weights: one safetensors file a fold, as bytes from ``pack_weights``.
    """
    with atomic_folder(folder) as temporary:
        entries = []
        for entry, data in zip(manifest.folds, weights, strict=True):
            write_bytes(temporary / entry.file, data)
            entries.append(entry.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()}))
        complete = manifest.model_copy(update={"folds": tuple(entries), "sha256": _BLANK})
        text = (complete.model_dump_json(indent=2) + "\n").encode()
        digest = hashlib.sha256(text).hexdigest()
        write_bytes(temporary / _MANIFEST, text.replace(_BLANK.encode(), digest.encode(), 1))


def load_bundle(folder: Path, device: torch.device | str = "cpu") -> ModelBundle:
    """Read and verify a bundle for scans.

    Raises:
        BundleError: as ``read_bundle``, or it is one for videos.
    """
    manifest, models = read_bundle(folder, device)
    scanners = tuple(model for model in models if isinstance(model, UniAdaFocus))
    if manifest.config.dataset is not None or len(scanners) < len(models):
        raise BundleError(
            f"{folder}: is a bundle for videos ({manifest.name}); use 'neurofocus video predict', or give the folder "
            "'bundle' of a finished 'neurofocus cv'"
        )
    return ModelBundle(manifest, scanners, manifest.sha256)


def read_bundle(folder: Path, device: torch.device | str = "cpu") -> tuple[BundleManifest, tuple[Model, ...]]:
    """Read and verify any bundle: its manifest, and its models in evaluation mode.

    Raises:
        BundleError: a file is missing or damaged, or the manifest is not one of ours.
    """
    manifest = read_manifest(folder)
    return manifest, tuple(_load_model(folder, entry, manifest, device) for entry in manifest.folds)


def read_manifest(folder: Path) -> BundleManifest:
    """Read and verify what a bundle says about its models; see ``read_bundle``."""
    path = folder / _MANIFEST
    try:
        text = path.read_bytes()
    except OSError:
        raise BundleError(
            f"{folder}: not a bundle (no readable {_MANIFEST}); give the folder 'bundle' of a finished 'neurofocus cv' or 'neurofocus video train'"
        ) from None
    try:
        manifest = BundleManifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(
            f"{path}: {first_problem(error)}; use a bundle of this version of neurofocus or make it again"
        ) from None
    blank = text.replace(manifest.sha256.encode(), _BLANK.encode(), 1)
    if hashlib.sha256(blank).hexdigest() != manifest.sha256:
        raise BundleError(f"{path}: damaged or edited (its SHA-256 does not fit); copy the bundle again")
    return manifest


def _load_model(
    folder: Path, entry: FoldEntry, manifest: BundleManifest, device: torch.device | str
) -> Model:
    path = folder / entry.file
    try:
        data = path.read_bytes()
    except OSError:
        raise BundleError(f"{path}: missing or not readable; copy the whole bundle folder again") from None
    seen = hashlib.sha256(data).hexdigest()
    if seen != entry.sha256:
        raise BundleError(
            f"{path}: damaged (SHA-256 {seen[:12]}…, expected {entry.sha256[:12]}…); copy it again"
        )
    try:
        state = {name: _widen(value) for name, value in load_tensors(data).items()}
        model = build_model(without_initial_weights(manifest.config.model))
        model.load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BundleError(
            f"{path}: does not fit the bundle's configuration ({reason}); make the bundle again"
        ) from None
    return model.to(device).eval()


def _widen(value: Tensor) -> Tensor:
    return value.float() if value.dtype == torch.float16 else value

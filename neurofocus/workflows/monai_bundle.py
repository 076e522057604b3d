"""``neurofocus export --format monai``: a bundle for scans in the layout that ``monai.bundle`` reads (specification 1.x)."""

import io
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from neurofocus import __version__
from neurofocus.errors import ConfigError
from neurofocus.files import atomic_folder, sha256_file, write_bytes, write_json, write_text
from neurofocus.inference.monai_pieces import FoldEnsemble
from neurofocus.schema.bundle import BundleManifest
from neurofocus.workflows.bundle import ModelBundle, load_bundle

__all__ = ["export_monai"]

_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
)
_SYNTHETIC = "SYNTHETIC: trained on simulated disease; its answers say nothing about a person. "


def export_monai(bundle: Path, out: Path) -> list[str]:
    """Write configs/metadata.json, configs/inference.json, models/model.pt and docs/README.md; return their names.

    Args:
        bundle: folder of a bundle for scans.
        out: the folder to make; must not be there.

    Raises:
        BundleError: the bundle is not acceptable, or is for videos.
        ConfigError: ``out`` is there, or the model's frames have colours.
    """
    if out.exists():
        raise ConfigError(f"--out {out}: is already there; give a folder that is not, or remove it")
    loaded = load_bundle(bundle)
    manifest = loaded.manifest
    if manifest.config.model.frame_channels != 1:
        raise ConfigError(
            f"{bundle}: frames have colours; a MONAI bundle is for gray scans, --format onnx for all"
        )
    with atomic_folder(out) as temporary:
        write_bytes(temporary / "models" / "model.pt", _weights(loaded))
        digest = sha256_file(temporary / "models" / "model.pt")
        write_json(temporary / "configs" / "metadata.json", _metadata(manifest, digest))
        write_json(temporary / "configs" / "inference.json", _inference(manifest))
        write_text(temporary / "docs" / "README.md", _readme(manifest))
        return sorted(str(path.relative_to(temporary)) for path in temporary.rglob("*.*"))


def _weights(loaded: ModelBundle) -> bytes:
    """Return the fold models' weights as one state of `FoldEnsemble`, tensors only."""
    manifest = loaded.manifest
    ensemble = FoldEnsemble(manifest.config.model.model_dump(mode="json"), len(loaded.models))
    for target, model in zip(ensemble.models, loaded.models, strict=True):
        target.load_state_dict(model.state_dict())
    stream = io.BytesIO()
    torch.save(ensemble.state_dict(), stream)
    return stream.getvalue()


def _metadata(manifest: BundleManifest, digest: str) -> dict[str, Any]:
    model = manifest.config.model
    side, note = model.frame_size, _SYNTHETIC if manifest.synthetic else ""
    frames = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": model.num_frames,
        "spatial_shape": [side, side],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(number): f"slice {number}" for number in range(model.num_frames)},
    }
    answer = {
        "type": "probabilities",
        "format": "classes",
        "num_channels": model.num_classes,
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {str(number): name for number, name in enumerate(manifest.classes)},
    }
    return {
        "schema": _SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"exported from bundle {manifest.name} of {manifest.created}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"neurofocus": __version__, "nibabel": version("nibabel")},
        "name": manifest.name,
        "task": "Classification of whole-head T1-weighted MRI",
        "description": f"{note}{len(manifest.folds)} Uni-AdaFocus fold models; probabilities are averaged.",
        "authors": "the users of neurofocus who trained it",
        "copyright": "that of its authors",
        "intended_use": manifest.intended_use,
        "synthetic": manifest.synthetic,
        "model_sha256": digest,
        "bundle_sha256": manifest.sha256,
        "network_data_format": {"inputs": {"image": frames}, "outputs": {"pred": answer}},
    }


def _inference(manifest: BundleManifest) -> dict[str, Any]:
    model, prepare = manifest.config.model, manifest.config.prepare
    pieces = "neurofocus.inference.monai_pieces"
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/scans'",
        "output_dir": "$@bundle_root + '/eval'",
        "datalist": "$sorted(glob.glob(os.path.join(@dataset_dir, '*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {
            "_target_": f"{pieces}.FoldEnsemble",
            "config": model.model_dump(mode="json"),
            "folds": len(manifest.folds),
        },
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": f"{pieces}.ScanToFramesd",
            "keys": "image",
            "prepare": prepare.model_dump(mode="json"),
            "num_frames": model.num_frames,
            "frame_size": model.frame_size,
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': path, 'filename_or_obj': path} for path in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Identityd", "keys": "pred"},
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
            },
            {
                "_target_": "ClassificationSaver",
                "output_dir": "@output_dir",
                "overwrite": True,
                "batch_transform": "$lambda batch: batch",
                "output_transform": "$monai.handlers.from_engine(['pred'])",
            },
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
        },
        "initialize": ["$monai.utils.set_determinism(seed=0)"],
        "run": ["$@evaluator.run()"],
        "finalize": [],
    }


def _readme(manifest: BundleManifest) -> str:
    note = f"**{_SYNTHETIC.strip()}**\n\n" if manifest.synthetic else ""
    return (
        f"# {manifest.name}\n\n{note}{manifest.intended_use}\n\nClasses: {', '.join(manifest.classes)}.\n\n"
        f"Needs `neurofocus` {__version__} beside MONAI. Put scans (.nii.gz) into `scans/`, then, in this folder:\n\n"
        "    python -m monai.bundle run --config_file configs/inference.json --bundle_root .\n\n"
        "Probabilities go to `eval/predictions.csv`.\n"
    )

"""The MONAI bundle: MONAI itself loads it, runs it without a network, and gets our probabilities."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow, verify_net_in_out
from workflows.test_export import put_bundle

from neurofocus.errors import BundleError, ConfigError
from neurofocus.files import sha256_file
from neurofocus.workflows.bundle import default_bundle, load_bundle
from neurofocus.workflows.monai_bundle import export_monai
from neurofocus.workflows.predict import predict

# What the bundle specification calls required in metadata.json.
REQUIRED = {
    "version": str,
    "changelog": dict,
    "monai_version": str,
    "pytorch_version": str,
    "numpy_version": str,
    "required_packages_version": dict,
    "task": str,
    "description": str,
    "authors": str,
    "copyright": str,
    "network_data_format": dict,
}
FORMAT = {
    "type",
    "format",
    "num_channels",
    "spatial_shape",
    "dtype",
    "value_range",
    "is_patch_data",
    "channel_def",
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("monai") / "out"
    assert export_monai(default_bundle(), out) == [
        "configs/inference.json",
        "configs/metadata.json",
        "docs/README.md",
        "models/model.pt",
    ]
    return out


def test_metadata(exported: Path) -> None:
    metadata: dict[str, Any] = json.loads((exported / "configs" / "metadata.json").read_text())
    assert all(isinstance(metadata[name], kind) for name, kind in REQUIRED.items())
    assert metadata["version"] in metadata["changelog"]
    assert metadata["description"].startswith("SYNTHETIC")
    assert "SYNTHETIC" in (exported / "docs" / "README.md").read_text()
    assert metadata["model_sha256"] == sha256_file(exported / "models" / "model.pt")
    form = metadata["network_data_format"]
    for entry in (form["inputs"]["image"], form["outputs"]["pred"]):
        assert entry.keys() >= FORMAT
        assert len(entry["channel_def"]) == entry["num_channels"]
    assert form["outputs"]["pred"]["channel_def"] == {"0": "CN", "1": "AD"}


def test_monai_finds_the_network_as_described(exported: Path) -> None:
    files = {
        "meta_file": str(exported / "configs" / "metadata.json"),
        "config_file": str(exported / "configs" / "inference.json"),
    }
    verify_net_in_out("network_def", device="cpu", **files)
    with pytest.raises(ValueError, match="channel number"):
        verify_net_in_out(
            "network_def",
            device="cpu",
            **{"_meta_::network_data_format::outputs::pred::num_channels": 3},
            **files,
        )


def test_monai_gives_our_probabilities(exported: Path, tiny_scan: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / tiny_scan.name).symlink_to(tiny_scan)
    workflow = ConfigWorkflow(
        config_file=str(exported / "configs" / "inference.json"),
        meta_file=str(exported / "configs" / "metadata.json"),
        workflow_type="inference",
        logging_file=False,
        bundle_root=str(exported),
        dataset_dir=str(tmp_path / "scans"),
        output_dir=str(tmp_path / "eval"),
    )
    workflow.initialize()
    assert (
        workflow.check_properties() == []
    )  # no property is missing that MONAI's inference workflows require
    workflow.run()
    with (tmp_path / "eval" / "predictions.csv").open() as stream:
        ((name, *found),) = list(csv.reader(stream))
    expected = predict(tiny_scan, load_bundle(default_bundle()), out=None).probabilities
    assert Path(name).name == tiny_scan.name
    assert [float(value) for value in found] == pytest.approx(list(expected.values()), abs=1e-5)


def test_the_configuration_names_no_place_on_this_machine(exported: Path) -> None:
    parser = ConfigParser()
    parser.read_config(str(exported / "configs" / "inference.json"))
    assert parser["bundle_root"] == "."
    assert str(exported) not in (exported / "configs" / "inference.json").read_text()


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="already there"):
        export_monai(default_bundle(), tmp_path)
    with pytest.raises(BundleError, match="bundle for videos"):
        export_monai(put_bundle(tmp_path / "bundle"), tmp_path / "out")

"""A real head written as a DICOM series is prepared like its NIfTI file."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from data.dicom_series import write_dicom

from neurofocus.data.alignment import align
from neurofocus.data.geometry import apply_affine, inverse
from neurofocus.data.standard import to_standard
from neurofocus.data.template import load_template
from neurofocus.data.volume import Volume, read_volume, to_canonical, write_volume
from neurofocus.schema.run import PrepareConfig


@pytest.mark.slow
def test_a_head_as_dicom_and_as_nifti_gives_one_volume(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("pydeface")
    assert spec is not None
    assert spec.origin is not None
    head = read_volume(Path(spec.origin).parent / "data" / "mean_reg2mean.nii.gz")
    stored = np.clip(np.round(head.array), -32768, 32767).astype(np.int16)
    write_volume(tmp_path / "head.nii.gz", stored, head.affine)
    write_dicom(tmp_path / "head", stored, head.affine)
    scans: list[Volume] = [to_canonical(read_volume(tmp_path / name)) for name in ("head.nii.gz", "head")]
    np.testing.assert_array_equal(scans[0].array, scans[1].array)
    np.testing.assert_allclose(scans[0].affine, scans[1].affine, atol=2e-3)
    found = [align(scan, PrepareConfig()) for scan in scans]
    template = load_template()
    points = apply_affine(template.affine, np.argwhere(template.mask[::8, ::8, ::8]) * 8.0)
    back = apply_affine(found[1].world_to_template @ inverse(found[0].world_to_template), points)
    assert np.linalg.norm(back - points, axis=1).max() < 0.3, "mm"
    volumes = [
        to_standard(scan, PrepareConfig(), one).array[template.mask]
        for scan, one in zip(scans, found, strict=True)
    ]
    assert np.corrcoef(*volumes)[0, 1] > 0.999
    assert np.abs(volumes[0] - volumes[1]).mean() < 0.01 * volumes[0].mean()

"""Miniature LONI IDA deliveries (ADNI, PPMI), as faithful as names, folders and tables can be; nobody was scanned."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np

from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec

__all__ = ["IdaDelivery", "Scan", "ida_spec", "write_dicom"]

Form = Literal["nii", "nii.gz", "dicom", "bare"]
PROTOCOL = (
    "Acquisition Plane=SAGITTAL;Mfg Model=TrioTim;Slice Thickness=1.2;Matrix Z=160.0;Acquisition Type=3D;"
    "Field Strength=3.0;Manufacturer=SIEMENS;Weighting=T1"
)
COLLECTION = [
    "Image Data ID",
    "Subject",
    "Group",
    "Sex",
    "Age",
    "Visit",
    "Modality",
    "Description",
    "Type",
    "Acq Date",
    "Format",
    "Downloaded",
]
SEARCH = [
    "Subject ID",
    "Project",
    "Phase",
    "Sex",
    "Weight",
    "Research Group",
    "APOE A1",
    "APOE A2",
    "Visit",
    "Study Date",
    "Archive Date",
    "Age",
    "Modality",
    "Description",
    "Imaging Protocol",
    "Image ID",
]


def ida_spec(**changes: Any) -> CohortSpec:
    """A plain definition: CN against AD by the group of the image table."""
    values = {
        "name": "mini",
        "title": "mini",
        "description": "mini",
        "layout": "ida",
        "participant_prefix": "ADNI",
        "tables": {"images": load_cohort_spec("ppmi").tables["images"]},
        "classes": {"CN": ["CN"], "AD": ["AD"]},
    }
    return CohortSpec.model_validate(values | changes)


@dataclass(frozen=True)
class Scan:
    """One image as the archive knows it; ``day`` is ISO, ``visit`` as a collection writes it."""

    subject: str
    image: int
    description: str = "MPR; GradWarp; B1 Correction; N3; Scaled"
    day: str = "2006-09-12"
    time: str = "08_20_30"
    group: str = "CN"
    sex: str = "F"
    age: str = "74"
    visit: str = "sc"
    kind: str = "Processed"
    series: int = 18402

    @property
    def folder(self) -> str:
        """SUBJECT/DESCRIPTION/DATE; the archive turns every sign but the hyphen into ``_``."""
        words = re.sub(r"[^A-Za-z0-9-]", "_", self.description)
        return f"{self.subject}/{words}/{self.day}_{self.time}.0"

    def stem(self, project: str) -> str:
        """The name of its files without their ending."""
        words = re.sub(r"[^A-Za-z0-9-]", "_", self.description)
        stamp = self.day.replace("-", "") + self.time.replace("_", "") + "123"
        return f"{project}_{self.subject}_MR_{words}_Br_{stamp}_S{self.series}_I{self.image}"

    @property
    def us_date(self) -> str:
        """M/D/YYYY, as IDA's tables have it."""
        year, month, day = self.day.split("-")
        return f"{int(month)}/{int(day)}/{year}"


class IdaDelivery:
    """A folder of one project's downloads.

    Args:
        root: what the user gives with --data.
        project: ADNI or PPMI.
        below: folders between the root and the subjects.
    """

    def __init__(self, root: Path, project: str = "ADNI", below: str | None = None) -> None:
        self.root = root
        self.project = project
        self.images = root / (project if below is None else below)
        root.mkdir(parents=True, exist_ok=True)

    def put(
        self,
        scan: Scan,
        *,
        leaf: Literal["I", "S"] = "I",
        form: Form = "nii",
        shape: tuple[int, int, int] = (3, 4, 5),
        voxel_mm: tuple[float, float, float] = (1.2, 1.0, 1.0),
    ) -> Path:
        """Write an image into its folder and return what a reader should call its path."""
        name = f"I{scan.image}" if leaf == "I" else f"S{scan.series}"
        folder = self.images / scan.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        stem = scan.stem(self.project)
        if form in ("dicom", "bare"):
            write_dicom(folder, stem, shape, voxel_mm, suffix=".dcm" if form == "dicom" else "")
            return folder
        path = folder / f"{stem}.{form}"
        voxels = np.random.default_rng(scan.image).integers(0, 900, shape).astype(np.int16)
        nib.Nifti1Image(voxels, np.diag([*voxel_mm, 1.0])).to_filename(path)
        return path

    def collection(
        self, scans: Iterable[Scan], name: str = "ADNI1_Screening_3_12_2024.csv", **style: object
    ) -> Path:
        """Write the CSV of a collection."""
        rows = [
            f"I{s.image},{s.subject},{s.group},{s.sex},{s.age},{s.visit},MRI,{s.description},{s.kind},"
            f"{s.us_date},NiFTI,3/12/2024".split(",")
            for s in scans
        ]
        return self.table(name, COLLECTION, rows, **style)

    def search(self, scans: Iterable[Scan], name: str = "idaSearch_3_12_2024.csv", **style: object) -> Path:
        """Write the CSV of an advanced search: no leading I, other column names, the imaging protocol."""
        rows = [
            f"{s.subject}|{self.project}|{self.project} 2|{s.sex}|70.5|{s.group}|3|3|{s.visit}|{s.us_date}|1/1/2010|"
            f"{s.age}|MRI|{s.description}|{PROTOCOL}|{s.image}".split("|")
            for s in scans
        ]
        return self.table(name, SEARCH, rows, **style)

    def table(
        self,
        name: str,
        header: Iterable[str],
        rows: Iterable[Iterable[str]],
        *,
        sep: str = ",",
        end: str = "\n",
        bom: bool = False,
    ) -> Path:
        """Write any table in the root, every cell in quotes as IDA does."""
        lines = [sep.join(f'"{cell}"' for cell in row) + end for row in [list(header), *map(list, rows)]]
        path = self.root / name
        path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + "".join(lines).encode())
        return path

    def xml(self, scan: Scan, *, strength: str = "1.494", extra: str = "") -> Path:
        """Write the sidecar beside the subjects' folders; ``extra`` goes in front of the outermost element."""
        words = f"<processedDataLabel>{scan.description}</processedDataLabel>"
        product = (
            f"<seriesLevelMeta><derivedProduct><imageUID>{scan.image}</imageUID>{words}</derivedProduct>"
            f"<relatedImageDetail><originalRelatedImage><imageUID>{scan.image - 1}</imageUID>"
            f"{self._protocol('MP-RAGE', strength)}</originalRelatedImage></relatedImageDetail></seriesLevelMeta>"
            if scan.kind != "Original"
            else f"<imagingProtocol><imageUID>{scan.image}</imageUID></imagingProtocol>"
            + self._protocol(scan.description, strength)
        )
        text = f"""<?xml version="1.0" encoding="UTF-8"?>
{extra}<idaxs xmlns="http://ida.loni.usc.edu" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<project xmlns=""><projectIdentifier>{self.project}</projectIdentifier>
<subject><subjectIdentifier>{scan.subject}</subjectIdentifier><researchGroup>{scan.group}</researchGroup>
<subjectSex>{scan.sex}</subjectSex><visit><visitIdentifier>{scan.visit}</visitIdentifier></visit>
<study><subjectAge>{scan.age}</subjectAge><ageQualifier>Y</ageQualifier><weightKg>70</weightKg>
<series><modality>MRI</modality><dateAcquired>{scan.day} {scan.time.replace("_", ":")}.0</dateAcquired>{product}</series>
</study></subject></project></idaxs>
"""
        self.images.mkdir(parents=True, exist_ok=True)
        words = re.sub(r"[^A-Za-z0-9-]", "_", scan.description)
        path = self.images / f"{self.project}_{scan.subject}_{words}_S{scan.series}_I{scan.image}.xml"
        path.write_text(text, encoding="utf-8")
        return path

    @staticmethod
    def _protocol(description: str, strength: str) -> str:
        return (
            f"<imagingProtocol><description>{description}</description><protocolTerm>"
            '<protocol term="Acquisition Plane">SAGITTAL</protocol>'
            f'<protocol term="Field Strength">{strength}</protocol>'
            '<protocol term="Manufacturer">SIEMENS</protocol></protocolTerm></imagingProtocol>'
        )


def write_dicom(
    folder: Path,
    stem: str,
    shape: tuple[int, int, int],
    voxel_mm: tuple[float, float, float],
    *,
    suffix: str = ".dcm",
) -> None:
    """Write a sagittal series, one file a slice along axis 0; slice thickness stands in its tag as scanners do."""
    import SimpleITK as sitk

    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    voxels = np.random.default_rng(shape[0]).integers(0, 900, shape).astype(np.int16)
    head, _, image_id = stem.rpartition("_I")
    for number in range(shape[0]):
        image = sitk.GetImageFromArray(np.ascontiguousarray(voxels[number].T)[None])
        image.SetSpacing((voxel_mm[1], voxel_mm[2], voxel_mm[0]))
        tags = {
            "0008|0060": "MR",
            "0008|0018": f"1.2.3.{image_id}.{number + 1}",
            "0010|0010": "SYNTHETIC^NOBODY",
            "0018|0050": f"{voxel_mm[0]:g}",
            "0020|000d": "1.2.9",
            "0020|000e": f"1.2.3.{image_id}",
            "0020|0013": str(number + 1),
            "0020|0032": f"{number * voxel_mm[0]:g}\\0\\0",
            "0020|0037": "0\\1\\0\\0\\0\\-1",
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{head}_raw_{number + 1}_I{image_id}{suffix}"))
        writer.Execute(image)

"""Where ``neurofocus prepare`` puts its files: a BIDS derivative data set."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofocus import __version__
from neurofocus.errors import ConfigError
from neurofocus.files import mendable, sha256_file, sweep_partial, write_json, write_text

__all__ = ["SPACE", "ScanPlace", "open_dataset", "read_record", "recorded_places"]

SPACE = "MNI152NLin2009aSym"
_DESCRIPTION = "dataset_description.json"
_GENERATOR = "neurofocus prepare"
_SIDECARS: dict[str, dict[str, Any]] = {
    f"space-{SPACE}_desc-preproc_T1w.json": {
        "Description": "T1w scan on the template's 1 mm grid, bias-corrected if the scan's desc-qc.json says so",
        "SkullStripped": False,
        "Resolution": "1 mm isotropic",
    },
    f"space-{SPACE}_desc-brain_mask.json": {
        "Description": "Brain inside the scan's field of view",
        "Type": "Brain",
        "Resolution": "1 mm isotropic",
    },
}
_IGNORED = "*_desc-qc.json\n**/figures/*\nquality.tsv\nfailures.tsv\ncontact_sheet.html\n"


@dataclass(frozen=True)
class ScanPlace:
    """Where the files of one scan lie.

    Attributes:
        out: the derivative data set.
        participant_id: such as sub-01.
        session_id: such as ses-2, or "n/a".
    """

    out: Path
    participant_id: str
    session_id: str

    @property
    def folder(self) -> Path:
        """The participant's folder, or the session's in it."""
        person = self.out / self.participant_id
        return person if self.session_id == "n/a" else person / self.session_id

    def file(self, ending: str, folder: str = "anat") -> Path:
        """Return a path such as sub-01/ses-2/anat/sub-01_ses-2_space-…_ENDING."""
        session = "" if self.session_id == "n/a" else f"_{self.session_id}"
        return self.folder / folder / f"{self.participant_id}{session}_space-{SPACE}_{ending}"

    @property
    def record(self) -> Path:
        """What was done; its presence says that the scan is done."""
        return self.file("desc-qc.json")

    @property
    def outputs(self) -> dict[str, Path]:
        """Every other file by kind."""
        return {
            "preproc": self.file("desc-preproc_T1w.nii.gz"),
            "mask": self.file("desc-brain_mask.nii.gz"),
            "thumbnail": self.file("desc-preproc_T1w.jpg", "figures"),
        }

    def finished(self, key: str) -> dict[str, Any] | None:
        """Return the record of a finished scan if it was made by this key and no file was changed since."""
        record = read_record(self.record)
        if record is None or record.get("key") != key:
            return None
        outputs = self.outputs
        for kind, file in record["files"].items():
            path = outputs.get(kind)
            if path is None or not path.is_file() or sha256_file(path) != file["sha256"]:
                return None
        return record

    def remove(self) -> None:
        """Remove the files of the scan, its record first: half a scan must not look done."""
        for path in (self.record, *self.outputs.values()):
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                sweep_partial(path.parent)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the content of a record, or None if there is none of ours."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("files"), dict) else None


def open_dataset(out: Path, cohort: str, *, synthetic: bool) -> None:
    """Start or continue the derivative data set of one cohort.

    Raises:
        ConfigError: the folder holds something else, or another cohort's scans.
    """
    with mendable(out):
        out.mkdir(parents=True, exist_ok=True)
    sweep_partial(out)
    description = out / _DESCRIPTION
    if description.exists():
        _refuse_other(description, cohort)
    elif any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise ConfigError(
            f"--out {out}: holds files but no {_DESCRIPTION} of {_GENERATOR}; choose an empty or a new folder"
        )
    note = "SYNTHETIC scans of cohort" if synthetic else "Scans of cohort"
    write_json(
        description,
        {
            "Name": f"{note} {cohort} in {SPACE}",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": _GENERATOR, "Version": __version__, "Description": f"cohort {cohort}"}],
        },
    )
    for name, content in _SIDECARS.items():
        write_json(out / name, content)
    write_text(out / ".bidsignore", _IGNORED)


def recorded_places(out: Path) -> Iterator[ScanPlace]:
    """Yield the place of every scan that an earlier call has finished."""
    pattern = f"anat/sub-*_space-{SPACE}_desc-qc.json"
    for path in sorted([*out.glob(f"sub-*/{pattern}"), *out.glob(f"sub-*/ses-*/{pattern}")]):
        parts = path.relative_to(out).parts
        place = ScanPlace(out, parts[0], parts[1] if len(parts) == 4 else "n/a")
        if place.record == path and read_record(path) is not None:
            yield place


def _refuse_other(description: Path, cohort: str) -> None:
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        made = content["GeneratedBy"][0]
        ours, whose = made["Name"] == _GENERATOR, str(made["Description"])
    except (OSError, ValueError, LookupError, TypeError):
        ours, whose = False, ""
    if not ours:
        raise ConfigError(
            f"--out {description.parent}: is a data set that {_GENERATOR} did not make; choose another folder"
        )
    if whose != f"cohort {cohort}":
        raise ConfigError(
            f"--out {description.parent}: holds the scans of {whose}, not of cohort {cohort}; choose another folder"
        )

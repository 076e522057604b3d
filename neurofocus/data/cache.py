"""Prepared cases on disk: keyed by content and configuration, verified on every read, safe under crashes.

MONAI's ``PersistentDataset`` gives the mechanism (run the deterministic transforms once, keep the result); its
storage is replaced, because on its own it serves stale data after a file or a setting changed, accepts flipped
bits and dies on a truncated entry. Alignments have entries of their own (``alignment_cache``), so that a changed
frame grid costs one resampling. Importing this module imports MONAI (seconds): import it where it is used.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from monai.config import KeysCollection
from monai.data import PersistentDataset
from monai.transforms import Compose, MapTransform

from neurofocus.data.alignment_cache import AlignmentCache, changed, lock_file, scan_digest
from neurofocus.data.cases import CaseRequest, case_file, case_key, read_case, write_case
from neurofocus.data.frames import FrameGrid
from neurofocus.data.preprocess import PreparedCase, prepare_case
from neurofocus.data.volume import read_volume
from neurofocus.errors import NeurofocusError
from neurofocus.schema.run import PrepareConfig

__all__ = ["AlignVolumed", "CaseCache", "PrepareCased", "ReadVolumed"]


class ReadVolumed(MapTransform):  # type: ignore[misc]  # MONAI ships no types
    """MONAI dictionary transform: the path under each key becomes a ``Volume`` under ``volume``.

    The digest of what was read is under ``content``.
    """

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Read the scan of every key of this transform."""
        found = dict(data)
        for key in self.key_iterator(found):
            found["content"] = scan_digest(Path(found[key]), found["orientation"])
            found["volume"] = read_volume(Path(found[key]), found["orientation"])
        return found


class AlignVolumed(MapTransform):  # type: ignore[misc]  # MONAI ships no types
    """MONAI dictionary transform: the ``Volume`` under each key is aligned, result under ``alignment``."""

    def __init__(self, folder: Path, keys: KeysCollection = "volume") -> None:
        super().__init__(keys)
        self.alignments = AlignmentCache(folder)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Align the volume of every key, or read its stored alignment; None for scans in template space."""
        found = dict(data)
        for key in self.key_iterator(found):
            found["alignment"] = (
                None
                if found["in_template"]
                else self.alignments.get_or_align(
                    found["path"], found["prepare"], volume=found[key], content=found["content"]
                )
            )
        return found


class PrepareCased(MapTransform):  # type: ignore[misc]  # MONAI ships no types
    """MONAI dictionary transform: the ``Volume`` under each key becomes a ``PreparedCase`` under ``case``."""

    def __init__(self, keys: KeysCollection = "volume") -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Prepare the volume of every key; the volume itself is dropped."""
        found = dict(data)
        for key in self.key_iterator(found):
            found["case"] = prepare_case(
                found.pop(key),
                found["prepare"],
                found["grid"],
                in_template=found["in_template"],
                alignment=found["alignment"],
            )
        return found


class CaseCache(PersistentDataset):  # type: ignore[misc]  # MONAI ships no types
    """A MONAI data set of prepared cases whose storage can be trusted.

    ``cache[i]`` is the i-th request with its ``case``; ``get_or_prepare`` serves any other scan. An entry is
    used only if its SHA-256 fits; otherwise it is built again with a line in the log. One lock a key makes
    parallel workers wait for each other instead of preparing a scan twice. The frames of a case are mapped from
    its entry, not held in memory.
    """

    def __init__(self, folder: Path, requests: Sequence[CaseRequest] = ()) -> None:
        steps = Compose([ReadVolumed("path"), AlignVolumed(folder), PrepareCased("volume")])
        super().__init__(data=list(requests), transform=steps, cache_dir=folder)
        self.folder = folder

    def get_or_prepare(
        self,
        path: Path,
        prepare: PrepareConfig,
        grid: FrameGrid,
        in_template: bool = False,
        orientation: str = "header",
    ) -> PreparedCase:
        """Return the prepared case of one scan, from disk if a verified entry is there.

        Raises:
            VolumeError: if the scan cannot be read or prepared.
            NeurofocusError: if the cache folder is full or not writable.
        """
        request = CaseRequest(
            path=path, prepare=prepare, grid=grid, in_template=in_template, orientation=orientation
        )
        case: PreparedCase = self._cachecheck(request)["case"]
        return case

    def find(self, request: CaseRequest) -> PreparedCase | None:
        """Return a verified entry, or None if the scan has to be prepared."""
        return read_case(case_file(self.folder, case_key(request)))

    def _cachecheck(self, item_transformed: CaseRequest) -> dict[str, Any]:
        """Serve a request from disk or prepare it (replaces MONAI's unverified pickle files)."""
        key = case_key(item_transformed)
        entry = case_file(self.folder, key)
        case = read_case(entry)
        if case is None:
            with FileLock(lock_file(self.folder, key)):
                case = read_case(entry)  # another worker may have built it while this one waited
                if case is None:
                    built = self._build(item_transformed, key)
                    case = read_case(entry) or built  # mapped: a cohort's frames need not fit into memory
        return {**item_transformed, "case": case}

    def _build(self, request: CaseRequest, key: str) -> PreparedCase:
        """Prepare a scan and store it; the caller holds the key's lock."""
        try:
            case: PreparedCase = self._pre_transform(dict(request))["case"]
        except RuntimeError as error:  # MONAI wraps what a transform raises
            if isinstance(error.__cause__, NeurofocusError):
                raise error.__cause__ from None
            raise
        if case_key(request) != key:
            raise changed(request["path"])
        write_case(case_file(self.folder, key), case)
        return case

"""Clips as a person names them: parts of one file apart, and those to leave out."""

from pathlib import Path

import pandas as pd

from neurofocus.errors import ConfigError
from neurofocus.ingest.video.table import PART_COLUMNS

__all__ = ["distinct_clips", "excluded_names"]


def distinct_clips(clips: pd.DataFrame) -> pd.DataFrame:
    """Return every clip once; where several are parts of one file, their names say which part: ``long[10:15]``."""
    once = clips.drop_duplicates(["clip_id", "split", *PART_COLUMNS])
    several = once["clip_id"].isin(once.loc[once.duplicated(["clip_id", "split"]), "clip_id"])
    frames = once["start_frame"].notna()
    starts, ends = (
        once[f"{end}_frame"].astype("float64").where(frames, once[f"{end}_seconds"])
        for end in ("start", "end")
    )
    names = [
        f"{name}[{start:.10g}:{end:.10g}]"
        for name, start, end in zip(once["clip_id"], starts, ends, strict=True)
    ]
    return once.assign(
        clip_id=once["clip_id"].where(~several | starts.isna(), pd.Series(names, index=once.index))
    )


def excluded_names(path: Path | None, clips: pd.DataFrame) -> set[str]:
    """Return the identifiers and paths of clips that a text file names, one a line.

    Args:
        path: of ``--exclude``; none: nothing is excluded.
        clips: as ``distinct_clips`` returns them.

    Raises:
        ConfigError: it cannot be read, or names what is no clip.
    """
    if path is None:
        return set()
    try:
        names = {line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()}
    except (OSError, ValueError):
        raise ConfigError(f"--exclude {path}: not a readable text file; name one clip a line") from None
    unknown = sorted(names - set(clips["clip_id"]) - set(clips["path"]))
    if unknown:
        raise ConfigError(
            f"--exclude {path}: {unknown[0]!r} ({len(unknown)} such lines) is no clip of the lists; they look like "
            f"{clips['clip_id'].iloc[0]!r}, or {clips['path'].iloc[0]!r} for all parts of a file"
        )
    return names

"""What the check of a video data set found, as typed values for a page, a terminal or JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from neurofocus.ingest.checks.findings import Finding
from neurofocus.ingest.video.table import ListSource

__all__ = ["FrameMismatch", "Sample", "SplitCounts", "VideoReport"]


@dataclass(frozen=True)
class Sample:
    """Clips of one kind: how many there are, and the first few.

    Attributes:
        count: how many.
        first: path, or "path: reason", of the first few missing ones, and of all that were opened.
    """

    count: int = 0
    first: tuple[str, ...] = ()


@dataclass(frozen=True)
class FrameMismatch:
    """Clips whose list declares another number of frames than there are.

    Attributes:
        count: how many.
        fewer: how many of them have fewer frames than declared.
        first: (path, declared, found) of the first few.
    """

    count: int = 0
    fewer: int = 0
    first: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True)
class SplitCounts:
    """One split in figures.

    Attributes:
        clips: how many clips.
        labelled: how many have labels.
        files: how many are video files; the others are frame folders.
        label_range: least and largest class index; None without labels.
        histogram: clips a class index (a clip of two classes counts in both); indices beyond the classes are left out.
    """

    clips: int
    labelled: int
    files: int
    label_range: tuple[int, int] | None
    histogram: tuple[int, ...]


@dataclass(frozen=True)
class VideoReport:
    """What was found.

    Attributes:
        source: lists, format, class rule.
        classes: names in index order; empty: unknown.
        splits: figures by split; splits without clips are left out.
        missing: clips that are not there.
        opened: how many clips were opened (decoded a little, or their frames counted).
        unreadable: clips that are there and cannot be used as they are (damaged, empty, frames left out, less than half
            of the listed part), with reasons.
        flawed: clips that are cut off, or shorter than their part in the list: used as far as they are there.
        frames: declared against found numbers of frames.
        templates: frame name template -> how many opened frame folders have it.
        refusals: what makes training on the data wrong, such as a clip in two splits.
        warnings: what a person should know.
    """

    source: ListSource
    classes: tuple[str, ...]
    splits: Mapping[str, SplitCounts]
    missing: Sample = Sample()
    opened: int = 0
    unreadable: Sample = Sample()
    flawed: Sample = Sample()
    frames: FrameMismatch = FrameMismatch()
    templates: Mapping[str, int] = field(default_factory=dict)
    refusals: Sequence[Finding] = ()
    warnings: Sequence[Finding] = ()

    @property
    def passed(self) -> bool:
        """Whether every clip is there and readable (as far as it was opened), and nothing refuses the data."""
        return not (self.refusals or self.missing.count or self.unreadable.count)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "passed": self.passed,
            "source": asdict(self.source),
            "classes": list(self.classes),
            "splits": {split: asdict(counts) for split, counts in self.splits.items()},
            "missing": asdict(self.missing),
            "opened": self.opened,
            "unreadable": asdict(self.unreadable),
            "flawed": asdict(self.flawed),
            "frames": asdict(self.frames),
            "templates": dict(self.templates),
            "refusals": [finding.as_json() for finding in self.refusals],
            "warnings": [finding.as_json() for finding in self.warnings],
        }

"""``neurofocus video check``: a data set before anybody trains on it."""

from dataclasses import dataclass
from pathlib import Path

from neurofocus.data.video.probe import VideoFacts, probe
from neurofocus.errors import VideoError
from neurofocus.ingest.video.check import check_videos
from neurofocus.ingest.video.class_names import read_class_file
from neurofocus.ingest.video.listing import ListOptions
from neurofocus.ingest.video.load import load_videos
from neurofocus.ingest.video.report import VideoReport
from neurofocus.schema.load import load_video_spec
from neurofocus.workflows.video.source import data_folder

__all__ = ["check_video_folder", "report_lines"]

_SHOWN_CLASSES = 3


@dataclass(frozen=True)
class _Probe:
    """Opens a file; a clip with damage cannot be used as it is."""

    thorough: bool

    def __call__(self, path: Path) -> VideoFacts:
        facts = probe(path, thorough=self.thorough)
        if facts.unreadable:
            raise VideoError(facts.unreadable[0])
        if facts.corrupt_frames:
            damage = "; ".join(facts.warnings) or f"{facts.corrupt_frames} damaged frames"
            raise VideoError(f"{path.name}: {damage}; copy it again")
        return facts


def check_video_folder(
    dataset: str,
    data: Path | None,
    options: ListOptions | None = None,
    *,
    limit: int | None = None,
    thorough: bool = False,
    classes: Path | None = None,
) -> VideoReport:
    """Read a data set's lists, compare them with the disk and open clips.

    Args:
        dataset: a shipped definition's name or a YAML file.
        data: the data folder; a simulated data set needs none.
        options: what the user forces.
        limit: how many clips a split are opened; none: all.
        thorough: decode every frame of the opened clips.
        classes: class file of a foreign checkpoint, to compare with the data's order.

    Raises:
        ConfigError: an unknown definition.
        VideoError: the lists cannot be read.
    """
    spec = load_video_spec(dataset)
    data = data_folder(spec, data)
    table = load_videos(spec, data, options)
    foreign = None if classes is None else read_class_file(classes)
    return check_videos(table, data, _Probe(thorough), spec=spec, limit=limit, checkpoint_classes=foreign)


def report_lines(report: VideoReport) -> list[str]:
    """Return what a person reads."""
    source = report.source
    lines = [
        f"format      {source.format} ({source.reason})",
        f"classes     {len(report.classes) or 'unnamed'} ({source.class_rule})",
    ]
    for name, counts in report.splits.items():
        used = [count for count in counts.histogram if count]
        spread = f", {min(used)} to {max(used)} a class, {len(used)} classes" if used else ""
        span = (
            ""
            if counts.label_range is None
            else f", labels {counts.label_range[0]} to {counts.label_range[1]}"
        )
        lines.append(
            f"{name:<11} {counts.clips} clips ({counts.files} files), {counts.labelled} labelled{span}{spread}"
        )
    lines.append(f"missing     {_sample(report.missing.count, report.missing.first)}")
    lines.append(
        f"unreadable  {_sample(report.unreadable.count, report.unreadable.first)} of {report.opened} opened"
    )
    lines += [f"refused     {finding.text}" for finding in report.refusals]
    lines += [f"warning     {finding.text}" for finding in report.warnings]
    return [*lines, "passed" if report.passed else "not passed"]


def _sample(count: int, first: tuple[str, ...]) -> str:
    return (
        f"{count}"
        if not count
        else f"{count} ({'; '.join(first[:_SHOWN_CLASSES])}{' ...' if count > _SHOWN_CLASSES else ''})"
    )

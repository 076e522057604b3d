"""How many clips and labels a table has, by split, and how many its publishers say."""

from collections.abc import Sequence

import numpy as np

from neurofocus.ingest.checks.findings import Finding
from neurofocus.ingest.video.listing import SPLITS
from neurofocus.ingest.video.report import SplitCounts
from neurofocus.ingest.video.table import VideoTable
from neurofocus.schema.video import OfficialCount

__all__ = ["count_warnings", "split_counts"]


def split_counts(table: VideoTable) -> dict[str, SplitCounts]:
    """Return figures of every split that has clips."""
    found: dict[str, SplitCounts] = {}
    for split in SPLITS:
        rows = table.clips[table.clips["split"] == split]
        if rows.empty:
            continue
        labels = np.array([label for each in rows["labels"] for label in each], dtype=np.int64)
        inside = labels[(labels >= 0) & (labels < table.num_classes)]
        found[split] = SplitCounts(
            clips=len(rows),
            labelled=int((rows["labels"].map(len) > 0).sum()),
            files=int((rows["kind"] == "file").sum()),
            label_range=(int(labels.min()), int(labels.max())) if labels.size else None,
            histogram=tuple(np.bincount(inside, minlength=table.num_classes).tolist()),
        )
    return found


def count_warnings(table: VideoTable, official: Sequence[OfficialCount]) -> list[Finding]:
    """Return how the numbers of clips differ from every published edition; nothing if they are those of one."""
    clips = table.clips
    found: dict[str, int] = {split: int((clips["split"] == split).sum()) for split in SPLITS}
    found["total"] = int((clips["labels"].map(len) > 0).sum())
    texts = []
    for edition in official:
        wanted = {name: getattr(edition, name) for name in found if getattr(edition, name) is not None}
        off = {
            name: count for name, count in wanted.items() if abs(found[name] - count) > edition.within * count
        }
        if wanted and not off:
            return []
        differences = ", ".join(f"{name} {found[name]:,} of {count:,}" for name, count in off.items())
        texts.append(f"{edition.name}: {differences} ({edition.source})")
    if not texts:
        return []
    text = "the lists hold other numbers of clips than published: " + "; ".join(texts)
    return [Finding("official counts", text, {"found": found})]

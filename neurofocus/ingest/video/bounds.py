"""What a table of clips says about itself, without a look at the disk: labels, duplicates, leaks, parts."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from neurofocus.ingest.checks.findings import Finding
from neurofocus.ingest.video.listing import SPLITS
from neurofocus.ingest.video.media import without_suffix
from neurofocus.ingest.video.table import PART_COLUMNS, VideoTable
from neurofocus.ingest.video.text import counted

__all__ = ["check_table"]

_SHOWN = 3


def check_table(table: VideoTable) -> tuple[list[Finding], list[Finding]]:
    """Return what refuses the clips of a table, and what to warn of. No file is looked at.

    Refused: a clip in two splits (leak), a clip twice in a split with different labels, labels beyond the classes,
    a single class, training clips without a label, names that mean several files, parts of no frames. Warned of: nothing
    to train or to score on, a clip twice in a split, a test list that is the validation list, parts of a file in two
    splits, classes without clips, clips of no frames.
    """
    refusals = [*_ambiguous(table), *_outside(table), *_single_class(table), *_no_parts(table.clips)]
    warnings = [
        *_one_sided(table.clips),
        *_shared_files(table.clips),
        *_empty_classes(table),
        *_no_frames(table.clips),
    ]
    for found in (_leaks, _repeats, _unlabelled):
        for finding, refused in found(table.clips):
            (refusals if refused else warnings).append(finding)
    return refusals, warnings


def _leaks(clips: pd.DataFrame) -> Iterator[tuple[Finding, bool]]:
    """Yield clips in two splits. PySlowFast wants a test list, and people copy the validation list: that may be."""
    validation, test = (
        set(clips.loc[clips["split"] == split, "clip_id"]) for split in ("validation", "test")
    )
    if validation and validation == test:
        text = "the test list is the validation list: what is chosen on it is also scored on it"
        yield Finding("same list", text, {"clips": len(test)}), False
        clips = clips[clips["split"] != "test"]
    for column in ("clip_id", "path"):
        leaked = _in_two_splits(clips, [column, *PART_COLUMNS])
        if len(leaked):
            text = f"leak: {counted(len(leaked), 'clip is', 'clips are')} in two splits ({_first(leaked)})"
            yield Finding("leak", f"{text}; keep each in one list only", {"clips": len(leaked)}), True
            return


def _shared_files(clips: pd.DataFrame) -> Iterator[Finding]:
    """Yield files of which different parts are in two splits."""
    shared = _in_two_splits(clips[clips["start_frame"].notna() | clips["start_seconds"].notna()], ["path"])
    if len(shared):
        yield Finding(
            "shared file",
            f"parts of {counted(len(shared), 'file are', 'files are')} in two splits ({_first(shared)}): what a model learns of the scene helps "
            "it in the test",
            {"files": len(shared)},
        )


def _in_two_splits(clips: pd.DataFrame, key: list[str]) -> pd.Series:
    """Return the first column of ``key`` where its value stands in two splits."""
    splits = clips.drop_duplicates([*key, "split"])
    found: pd.Series = splits.loc[splits.duplicated(key), key[0]]
    return found


def _repeats(clips: pd.DataFrame) -> Iterator[tuple[Finding, bool]]:
    """Yield clips that stand twice in a split; those whose labels differ are refused."""
    key = ["clip_id", "split", *PART_COLUMNS]
    repeated = clips[clips.duplicated(key, keep=False)]
    if repeated.empty:
        return
    same = repeated.duplicated([*key, "labels"], keep=False)
    for rows, words, refused in (
        (repeated[~same], "with different labels", True),
        (repeated[same], "", False),
    ):
        names = rows["clip_id"].drop_duplicates()
        if len(names):
            text = f"{counted(len(names), 'clip stands', 'clips stand')} twice in a split {words}".rstrip()
            text += f" ({_first(names)}); keep one line of each"
            yield Finding("repeated clip", text, {"clips": len(names)}), refused


def _ambiguous(table: VideoTable) -> Iterator[Finding]:
    """Yield names that mean several files, and files that only their suffix tells apart: they would be one clip."""
    clips = table.clips
    apart = clips[clips["kind"] == "file"].drop_duplicates(["clip_id", "path"])
    apart = apart[apart.duplicated("clip_id", keep=False)]
    stems = apart["path"].map(without_suffix)
    alike = apart[stems.groupby(apart["clip_id"]).transform("nunique") == 1]
    names = list(table.ambiguous)
    names += [f"{name}: {', '.join(rows['path'])}" for name, rows in alike.groupby("clip_id", sort=False)]
    if names:
        text = f"{counted(len(names), 'clip', 'clips')} may be several files that differ in their suffix ({_first(names)})"
        advice = "remove or rename all but one, and list it with its suffix"
        yield Finding("ambiguous clip", f"{text}; {advice}", {"clips": names})


def _outside(table: VideoTable) -> Iterator[Finding]:
    largest = table.clips["labels"].map(lambda labels: max(labels, default=0))
    smallest = table.clips["labels"].map(lambda labels: min(labels, default=0))
    bad = table.clips[(largest >= table.num_classes) | (smallest < 0)]
    if bad.empty:
        return
    labelled = [label for labels in table.clips["labels"] for label in labels]
    from_one = min(labelled) == 1 and max(labelled) == table.num_classes
    hint = "; the lists seem to count from 1: subtract 1 from every label" if from_one else ""
    row: Any = bad.iloc[0]
    yield Finding(
        "label range",
        f"{counted(len(bad), 'clip has', 'clips have')} labels outside 0…{table.num_classes - 1} (first: {row['clip_id']}: "
        f"{', '.join(str(label) for label in row['labels'])}){hint}; give the lists and the class file of one edition",
        {"clips": len(bad), "least": int(min(labelled)), "largest": int(max(labelled))},
    )


def _single_class(table: VideoTable) -> Iterator[Finding]:
    if table.num_classes < 2 and table.clips["labels"].map(len).any():
        names = f" ({table.classes[0]})" if table.classes else ""
        text = f"all clips are of one class{names}; there is nothing to tell apart: give clips of two classes or more"
        yield Finding("single class", text, {"classes": table.num_classes})


def _one_sided(clips: pd.DataFrame) -> Iterator[Finding]:
    """Yield what cannot be done with the splits that are there."""
    there = set(clips.loc[clips["labels"].map(len) > 0, "split"])
    if "train" not in there:
        text = "no labelled clips to train on: scoring only; to train, give a train list (--list train=FILE) or folder"
        yield Finding("no training clips", text, {})
    elif there == {"train"}:
        text = (
            "no labelled clips to validate or test on, which training needs: give a validation list "
            "(--list validation=FILE), or a folder 'val' beside 'train'"
        )
        yield Finding("no clips to score", text, {})


def _no_parts(clips: pd.DataFrame) -> Iterator[Finding]:
    """Yield parts that begin before their file or end before they begin."""
    for unit in ("frame", "second"):
        start, end = (clips[name] for name in PART_COLUMNS if unit in name)
        wrong = clips[((start < 0) | (end <= start)).fillna(False)]
        if len(wrong):
            row: Any = wrong.iloc[0]
            bounds = f"{start[wrong.index[0]]} to {end[wrong.index[0]]}"
            yield Finding(
                "part",
                f"{counted(len(wrong), 'clip is a part', 'clips are parts')} that cannot be (first: {row['clip_id']}: "
                f"{unit}s {bounds}, the end not included); correct the list",
                {"clips": len(wrong)},
            )


def _unlabelled(clips: pd.DataFrame) -> Iterator[tuple[Finding, bool]]:
    """Yield splits with clips without a label; a split without any label at all is there to be predicted."""
    bare = clips["labels"].map(len) == 0
    for split in SPLITS:
        own = clips["split"] == split
        names = clips.loc[own & bare, "clip_id"]
        if len(names) and (split == "train" or not bare[own].all()):
            text = f"{split}: {len(names)} of {own.sum()} clips without a label ({_first(names)})"
            yield (
                Finding("no label", f"{text}; remove them from the list", {"clips": len(names)}),
                split == "train",
            )


def _empty_classes(table: VideoTable) -> Iterator[Finding]:
    labelled = set(table.clips.loc[table.clips["labels"].map(len) > 0, "split"])
    for split in SPLITS:
        if split not in labelled:
            continue
        rows = table.clips[table.clips["split"] == split]
        seen = {label for labels in rows["labels"] for label in labels}
        empty = [label for label in range(table.num_classes) if label not in seen]
        if not empty:
            continue
        names = [table.classes[label] if table.classes else str(label) for label in empty]
        yield Finding(
            "empty class",
            f"{split}: {len(empty)} of {table.num_classes} classes have no clip ({_first(names)})",
            {"split": split, "classes": empty},
        )


def _no_frames(clips: pd.DataFrame) -> Iterator[Finding]:
    empty = clips.loc[(clips["num_frames"] < 1).fillna(False), "clip_id"]
    if len(empty):
        yield Finding(
            "no frames",
            f"{counted(len(empty), 'clip has', 'clips have')} no frames according to the list ({_first(empty)}); extract the frames again",
            {"clips": len(empty)},
        )


def _first(names: Sequence[str] | pd.Series) -> str:
    shown = ", ".join(str(name) for name in list(names[:_SHOWN]))
    return shown + (", …" if len(names) > _SHOWN else "")

"""Whether a checkpoint's classes are the data's, index by index; otherwise every figure would be silently wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from neurofocus.ingest.video.class_names import same_name
from neurofocus.ingest.video.text import shown

__all__ = ["OrderConflict", "class_order_conflict"]


@dataclass(frozen=True)
class OrderConflict:
    """How two lists of class names differ.

    Attributes:
        kind: "order" (the same names at other indices), "names" (other names), "number" (fewer or more), or
            "unknown" (one side has no names, so nothing can be compared).
        text: one sentence for a person.
        permutation: of kind "order": data index -> checkpoint index; ``logits[:, permutation]`` is in data order.
    """

    kind: Literal["order", "names", "number", "unknown"]
    text: str
    permutation: tuple[int, ...] | None = None


def class_order_conflict(checkpoint: Sequence[str], data: Sequence[str]) -> OrderConflict | None:
    """Compare the class names of a checkpoint with those of the data, index by index.

    Case, underscores, brackets and quotes are aside, for tools differ in them.

    Args:
        checkpoint: names in index order; empty if nobody knows them.
        data: names in index order; empty if the lists hold numbers only.

    Returns:
        None if they agree.
    """
    if not checkpoint or not data:
        which = "checkpoint's" if not checkpoint else "data's"
        return OrderConflict(
            "unknown",
            f"the {which} class names are unknown, so its indices cannot be compared with the other's; give the class "
            "file that belongs to it (classInd.txt, category.txt)",
        )
    ours, theirs = [same_name(name) for name in data], [same_name(name) for name in checkpoint]
    if ours == theirs:
        return None
    if len(ours) != len(theirs):
        return OrderConflict("number", f"the checkpoint has {len(theirs)} classes, the data {len(ours)}")
    if set(ours) != set(theirs) or len(set(ours)) < len(ours):
        return _other_names(checkpoint, data, ours, theirs)
    places = {name: place for place, name in enumerate(theirs)}
    permutation = tuple(places[name] for name in ours)
    moved = [place for place, other in enumerate(permutation) if place != other]
    first = moved[0]
    text = (
        f"{len(moved)} of {len(ours)} classes have another index (first: {shown(data[first])} is {first} in the data, "
        f"{permutation[first]} in the checkpoint): {_known(checkpoint, data)}"
    )
    return OrderConflict("order", text, permutation)


def _known(checkpoint: Sequence[str], data: Sequence[str]) -> str:
    """Name the conflict if it is one that is met in the wild."""
    if _is_sorted(checkpoint):
        return (
            "the checkpoint counts sorted names, as TSM and AdaFocus do, the data the order of a file; read the data "
            "with --class-order sorted"
        )
    if _is_sorted(data):
        return (
            "the data count sorted names, the checkpoint another order, as mmaction2 keeps the file's; read the data "
            "with --class-order file, or with the checkpoint's class file (--list classes=FILE)"
        )
    return (
        "a permutation, as between mmaction2's and FrameExit's lists of ActivityNet; read the data with the "
        "checkpoint's class file (--list classes=FILE)"
    )


def _other_names(
    checkpoint: Sequence[str], data: Sequence[str], ours: Sequence[str], theirs: Sequence[str]
) -> OrderConflict:
    only_data = [name for name, plain in zip(data, ours, strict=True) if plain not in set(theirs)]
    only_checkpoint = [name for name, plain in zip(checkpoint, theirs, strict=True) if plain not in set(ours)]
    if not only_data and not only_checkpoint:
        return OrderConflict("names", "a class name stands twice; every class needs a name of its own")
    shared = len(ours) - len(only_data)
    return OrderConflict(
        "names",
        f"{shared} of {len(ours)} class names are shared; only in the data: {_first(only_data)}; only in the checkpoint: "
        f"{_first(only_checkpoint)}: another data set or another edition of it",
    )


def _first(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > 3 else ""
    return ", ".join(shown(name) for name in names[:3]) + more if names else "none"


def _is_sorted(names: Sequence[str]) -> bool:
    return list(names) == sorted(names) or list(names) == sorted(names, key=str.casefold)

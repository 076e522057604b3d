"""Where the list files of a data set lie: in the data folder or one below, by the names of its definition."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from neurofocus.errors import VideoError
from neurofocus.ingest.video.media import Folders
from neurofocus.schema.video import ListPatterns

__all__ = ["LIST_ROLES", "ROLES", "check_given", "find_lists", "list_files", "refuse_other_lists"]

LIST_ROLES = ("train", "validation", "test", "all")
ROLES = tuple(ListPatterns.model_fields)
_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".lst", ".list")
# A folder of frame folders has far too many subfolders to open each; lists lie in folders with these names.
_MANY = 64
_HOMES = ("annotation", "list", "label", "split", "material", "meta", "anno")


def list_files(data: Path, folders: Folders) -> list[Path]:
    """Return the files that may be lists: in the data folder, then in its subfolders.

    Raises:
        VideoError: if there is no such folder.
    """
    top = folders.listing(data)
    if top is None:
        raise VideoError(
            f"{data}: no such folder; give the folder that holds the lists and the clips (--data)"
        )
    below = sorted(name for name, is_folder in top.entries.items() if is_folder and not name.startswith("."))
    if len(below) > _MANY:
        below = [name for name in below if any(home in name.lower() for home in _HOMES)]
    found = []
    for folder in (data, *(data / name for name in below)):
        listing = folders.listing(folder)
        entries = listing.entries if listing else {}
        names = sorted(name for name, is_folder in entries.items() if not is_folder)
        found += [folder / name for name in names if name.lower().endswith(_SUFFIXES)]
    return found


def _matched(patterns: ListPatterns, files: Sequence[Path]) -> dict[str, list[Path]]:
    """Return role -> the files that its first pattern with any match names; roles without a file are left out."""
    matched: dict[str, list[Path]] = {}
    for role in ROLES:
        for pattern in getattr(patterns, role):
            fitting = [path for path in files if fnmatchcase(path.name.lower(), pattern.lower())]
            # A list in the data folder itself goes before one of the same name in a subfolder's copy.
            fitting = [path for path in fitting if path.parent == fitting[0].parent]
            if fitting:
                matched[role] = fitting
                break
    return matched


def find_lists(
    patterns: ListPatterns, files: Sequence[Path], given: Mapping[str, Path]
) -> dict[str, Path] | None:
    """Return role -> file; None if there is no list of clips.

    Args:
        patterns: of the format.
        files: what lies there.
        given: files that the user names; then no other list of clips is looked for.

    Raises:
        VideoError: if several files could be one list.
    """
    matched = _matched(patterns, files)
    if any(role in LIST_ROLES for role in given):
        matched = {role: paths for role, paths in matched.items() if role not in LIST_ROLES}
    chosen = dict(given)
    for role, paths in matched.items():
        if role in given:
            continue
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths[:4])
            raise VideoError(
                f"{paths[0].parent}: {len(paths)} files could be the {role} list ({names}); say which one "
                f"(--list {role}={paths[0].name}), or move the others away"
            )
        chosen[role] = paths[0]
    return chosen if any(role in LIST_ROLES for role in chosen) else None


def refuse_other_lists(other: Mapping[str, str], files: Iterable[Path]) -> None:
    """Refuse list files that belong to another data set of the same name.

    Raises:
        VideoError: with what to do about them.
    """
    for pattern, advice in other.items():
        for path in files:
            if fnmatchcase(path.name.lower(), pattern.lower()):
                raise VideoError(f"{path}: {advice}")


def check_given(lists: Mapping[str, Path]) -> None:
    """Refuse roles that do not exist and files that are not there.

    Raises:
        VideoError: naming the role or the file.
    """
    for role, path in lists.items():
        if role not in ROLES:
            raise VideoError(f"--list {role}={path}: no such role; known: {', '.join(ROLES)}")
        if not path.is_file():
            raise VideoError(f"--list {role}={path}: no such file; give the path of the list")

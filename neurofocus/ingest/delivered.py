"""The tables that an archive delivers, found by name and by header, and read under our column names."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.schema.cohort import TableSpec
from neurofocus.tables import read_delivered, read_header

__all__ = ["DeliveredTable", "find_table", "open_table", "require_table", "table_elsewhere"]

_DATES = (
    (r"\d{1,2}[A-Za-z]{3}\d{4}", "%d%b%Y"),  # ADNIMERGE_12Oct2024.csv
    (r"\d{4}-\d{2}-\d{2}", "%Y-%m-%d"),
    (r"\d{1,2}_\d{1,2}_\d{4}", "%m_%d_%Y"),  # IDA: collection_3_12_2024.csv
    (r"(?<!\d)20\d{6}(?!\d)", "%Y%m%d"),
)
# Where tables lie: in the folder, one below, or where XNAT puts a project's tables (OASIS3_data_files).
_XNAT = "scans/*/resources/*/files/*.*"
_LEVELS_UP = 3
_PLACES = ("*.*", "*/*.*", _XNAT, f"*/{_XNAT}", f"*/*/{_XNAT}")


@dataclass(frozen=True)
class DeliveredTable:
    """The rows of one kind of table, every value as text.

    Attributes:
        role: the name of the table in the cohort definition.
        frame: our column names, those that a file has; ``file`` (its name) and ``line`` (of that file) a row.
            A value that a file has no column for is ``n/a``.
        delivered: file name -> our column name -> the name that the file gives it.
        warnings: which of several files was used.
    """

    role: str
    frame: pd.DataFrame
    delivered: Mapping[str, Mapping[str, str]]
    warnings: tuple[str, ...] = ()

    def has(self, column: str) -> bool:
        """Whether some file has the column."""
        return column in self.frame.columns

    def sources(self, column: str) -> list[str]:
        """Return where each row's value stands: ``ADNIMERGE.csv:DX``."""
        return [f"{file}:{self.delivered[file].get(column, column)}" for file in self.frame["file"]]

    def where(self, row: int, column: str) -> str:
        """Return where the value at a row position stands, for a message."""
        file, line = self.frame["file"].iloc[row], self.frame["line"].iloc[row]
        return f"{file}: row {line}, column {self.delivered[file].get(column, column)!r}"


def find_table(root: Path, role: str, spec: TableSpec) -> DeliveredTable | None:
    """Return a delivered table from a folder or its subfolders; None if there is no such file.

    Raises:
        CohortError: if several files fit, only one may, and their names hold no date to tell the newest; or if it is
            there as an Excel file only.
    """
    candidates = _candidates(root, spec)
    fitting = {path: names for path, names in candidates if not _lacking(spec, names)}
    if not candidates and (
        sheets := _sheets(root, [name for name in spec.files if not name.startswith("*.")])
    ):
        raise CohortError(
            f"{sheets[0]}: an Excel file; open it, save it as CSV (comma-separated) in the same folder, and run again"
        )
    if not fitting:
        return None
    paths, warnings = list(fitting), []
    if len(paths) > 1 and not spec.many:
        newest = _newest(paths, role)
        warnings.append(
            f"{newest.name}: the newest of {len(paths)} files that fit the table {role!r} is used"
        )
        paths = [newest]
    return _joined(root, role, {path: fitting[path] for path in paths}, tuple(warnings))


def open_table(path: Path, role: str, spec: TableSpec) -> DeliveredTable:
    """Return the table that one given file holds, whatever its name.

    Raises:
        CohortError: if it lacks a required column.
    """
    header = read_header(path)
    names = _match(spec.columns, header)
    if lacking := _lacking(spec, names):
        wanted = ", ".join(f"{name} ({' or '.join(spec.columns[name])})" for name in lacking)
        raise CohortError(
            f"{path}: no column {wanted}; it has {', '.join(header) or 'no header'}; add it, or give the "
            "folder of the delivery instead of this file"
        )
    return _joined(path.parent, role, {path: names}, ())


def require_table(root: Path, role: str, spec: TableSpec) -> DeliveredTable:
    """Return a delivered table.

    Raises:
        CohortError: if there is none, naming what it must look like and the file that comes nearest.
    """
    found = find_table(root, role, spec)
    if found is not None:
        return found
    wanted = ", ".join(f"{name} ({' or '.join(spec.columns[name])})" for name in spec.required)
    near = [
        f"{path.relative_to(root)} lacks {', '.join(_lacking(spec, names))}"
        for path, names in sorted(_candidates(root, spec), key=lambda item: len(_lacking(spec, item[1])))
    ]
    seen = f"nearest: {near[0]}" if near else "there is no such file"
    other = f"put the archive's table there, or mend 'tables.{role}' in the cohort definition"
    raise CohortError(
        f"{root}: no table {role!r}: {' or '.join(spec.files)} with columns {wanted}, in this folder or one below; "
        f"{seen}; {table_elsewhere(root, spec) or other}"
    )


def table_elsewhere(root: Path, spec: TableSpec) -> str:
    """Return where such a table lies instead, for a message: above the folder, deeper in it, as an Excel file; or ""."""
    folder = root.absolute()
    for above in [*folder.parents][:_LEVELS_UP]:
        if found := _complete(above.glob("*.*"), spec):
            return f"{found.name} lies in {above}: did you mean --data {above}?"
    if found := _complete(folder.glob("*/*/*.*"), spec):
        return f"{found.name} lies in {found.parent}: did you mean --data {found.parent}?"
    if sheets := _sheets(root, spec.files):
        return f"{sheets[0]} is an Excel file: if it is the table, save it as CSV in the same folder"
    return ""


def _complete(paths: Iterable[Path], spec: TableSpec) -> Path | None:
    """Return the first file that has the table's name and columns; files that cannot be opened are passed over."""
    for path in sorted(paths):
        try:
            if _named(path, spec) and not _lacking(spec, _match(spec.columns, read_header(path))):
                return path
        except CohortError:
            continue
    return None


def _sheets(root: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the Excel files in the folder or one below that would fit if they were saved as CSV."""
    stems = [Path(pattern).stem.lower() for pattern in patterns]
    sheets = sorted((*root.glob("*.xls*"), *root.glob("*/*.xls*")))
    return [path for path in sheets if any(fnmatchcase(path.stem.lower(), stem) for stem in stems)]


def _joined(
    root: Path, role: str, fitting: Mapping[Path, Mapping[str, str]], warnings: tuple[str, ...]
) -> DeliveredTable:
    """Return the rows of files under our column names; ``fitting`` says a file's names: ours -> delivered."""
    frames, delivered = [], {}
    for path, names in fitting.items():
        frame = read_delivered(path)
        name = path.relative_to(root).as_posix()
        delivered[name] = names
        chosen = frame[list(names.values())].set_axis(list(names), axis=1)
        frames.append(chosen.assign(file=name, line=frame.index))
    return DeliveredTable(role, pd.concat(frames, ignore_index=True).fillna("n/a"), delivered, warnings)


def _candidates(root: Path, spec: TableSpec) -> list[tuple[Path, dict[str, str]]]:
    """Return the files whose names fit, each with the columns that it has: ours -> delivered."""
    paths = sorted(path for place in _PLACES for path in root.glob(place))
    return [(path, _match(spec.columns, read_header(path))) for path in paths if _named(path, spec)]


def _named(path: Path, spec: TableSpec) -> bool:
    fits = any(fnmatchcase(path.name.lower(), pattern.lower()) for pattern in spec.files)
    return fits and path.suffix.lower() in (".csv", ".tsv", ".txt") and path.is_file()


def _match(wanted: Mapping[str, Sequence[str]], header: Sequence[str]) -> dict[str, str]:
    plain = {_plain(name): name for name in reversed(header)}
    return {
        ours: plain[_plain(alias)]
        for ours, aliases in wanted.items()
        if (alias := next((name for name in aliases if _plain(name) in plain), None)) is not None
    }


def _plain(name: str) -> str:
    """Return a column name without what exports change: case, spaces and signs (M/F is kept apart from MF)."""
    return re.sub(r"[\s_.-]+", "", name).lower()


def _lacking(spec: TableSpec, names: Mapping[str, str]) -> list[str]:
    return [name for name in spec.required if name not in names]


def _newest(paths: Sequence[Path], role: str) -> Path:
    dates = {path: _date_in(path.stem) for path in paths}
    known = sorted({found for found in dates.values() if found is not None})
    newest = [path for path in paths if known and dates[path] == known[-1]]
    if len(newest) != 1:
        raise CohortError(
            f"{paths[0]} and {paths[1].name}: both fit the table {role!r} and the dates in their names do not tell "
            "which is newer; keep one of them in the folder"
        )
    return newest[0]


def _date_in(stem: str) -> date | None:
    for pattern, form in _DATES:
        if match := re.search(pattern, stem):
            try:
                return datetime.strptime(match[0], form).date()
            except ValueError:
                continue
    return None

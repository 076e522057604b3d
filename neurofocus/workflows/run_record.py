"""``run.json``: what a run folder was started with; a changed configuration is refused."""

import hashlib
import json
import platform
import re
import shutil
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from neurofocus import __version__
from neurofocus.errors import ConfigError
from neurofocus.files import mendable, sweep_partial, write_json
from neurofocus.schema.run import RunConfig

__all__ = ["RUN_RECORD", "config_hash", "open_run", "provenance"]

RUN_RECORD = "run.json"
# What a run makes; ``--fresh`` removes nothing else.
_OURS = re.compile(
    r"run\.json|cohort\.tsv|folds\.tsv|checks\.json|external-[A-Za-z0-9._-]+\.(json|tsv)|fold-[0-9]+|jobs|predictions\.tsv|metrics\.json|report\.html|exit_seconds\.json|bundle|history\.tsv|logits\.npz|curve\.(csv|png)|last\.safetensors|tensorboard|\.lock|\..*\.nf-partial\..*"
)
_FIELDS = {"config": dict, "config_sha256": str, "created": str, "provenance": dict}
_PACKAGES = (
    "torch",
    "monai",
    "pytorch-ignite",
    "nibabel",
    "simpleitk",
    "nilearn",
    "scikit-learn",
    "numpy",
    "pandas",
)
# Settings that change how fast a run is, never its numbers.
_HARMLESS = {"data": ("num_workers", "prepare_jobs")}
# Settings of what is derived from finished trainings: changed, it is derived again, and nothing is trained.
_DERIVED = ("exit",)


def open_run(out: Path, config: RunConfig, *, fresh: bool) -> dict[str, Any]:
    """Start or continue the run folder and return its record.

    Args:
        out: the run folder.
        config: the configuration of this call.
        fresh: remove an older run of ours in ``out`` first.

    Raises:
        ConfigError: the folder holds something else, or results of a run with other settings.
    """
    path = out / RUN_RECORD
    if fresh and path.is_file():
        _remove_run(out)
    if path.is_file():
        record = _read(path)
        changes = _changes(record["config"], config)
        if changes and _holds_results(out):
            raise _changed(changes, out)
        if not changes:
            sweep_partial(out)
            return _brought_up_to_date(path, record, config)
        _remove_run(out)  # an earlier call was refused or ended before it trained: nothing is lost
    with mendable(out):
        out.mkdir(parents=True, exist_ok=True)
    if any(".nf-partial" not in entry.name for entry in out.iterdir()):
        raise ConfigError(
            f"--out {out}: holds files but no {RUN_RECORD}, so it is not a run; choose another folder"
        )
    sweep_partial(out)
    record = {
        "config": config.model_dump(mode="json"),
        "config_sha256": config_hash(config),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "provenance": provenance(),
    }
    write_json(path, record)
    return record


def config_hash(config: RunConfig) -> str:
    """Return the SHA-256 of the settings that decide a run's trainings."""
    return hashlib.sha256(
        json.dumps(_decisive(config.model_dump(mode="json")), sort_keys=True).encode()
    ).hexdigest()


def provenance() -> dict[str, Any]:
    """Return the versions and the platform that a result was computed with; nothing that names a person or a path."""
    versions = {"neurofocus": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # an optional distribution name on some platforms
            versions[package] = "unknown"
    return {"versions": versions, "platform": platform.system(), "machine": platform.machine()}


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ConfigError(f"{path}: not readable JSON; add --fresh to start this run again") from None
    if not isinstance(record, dict) or any(
        not isinstance(record.get(key), kind) for key, kind in _FIELDS.items()
    ):
        raise ConfigError(f"{path}: not the record of a run; choose another --out folder")
    return record


def _brought_up_to_date(path: Path, record: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    """Return the record with the settings of this call for what is derived from trainings, and store them."""
    wanted = config.model_dump(mode="json")
    derived = {group: wanted[group] for group in _DERIVED}
    updated = {**record, "config": {**record["config"], **derived}}
    if updated != record:
        write_json(path, updated)
    return updated


def _remove_run(out: Path) -> None:
    """Remove every file of a run, its record last: an interrupted removal is continued by the next ``--fresh``.

    Raises:
        ConfigError: naming what a run does not make; nothing is removed then.
    """
    entries = sorted(out.iterdir(), key=lambda entry: entry.name == RUN_RECORD)
    foreign = sorted(entry.name for entry in entries if not _OURS.fullmatch(entry.name))
    if foreign:
        raise ConfigError(
            f"--out {out}: --fresh would remove {foreign[0]!r}, which no run has made; move it away or choose another folder"
        )
    with mendable(out):
        for entry in entries:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _holds_results(out: Path) -> bool:
    return any(out.glob("fold-*")) or (out / "last.safetensors").exists()


def _changes(old: dict[str, Any], config: RunConfig) -> list[str]:
    """Return the settings that decide the numbers and differ, as "key was X, now Y"."""
    before, now = _flatten(_decisive(old)), _flatten(_decisive(config.model_dump(mode="json")))
    return [
        f"{key} was {before.get(key)!r}, now {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


def _changed(changes: list[str], out: Path) -> ConfigError:
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    return ConfigError(
        f"--out {out}: was started with other settings ({'; '.join(changes[:3])}{more}); "
        "use the old settings to continue, --fresh to start again, or another --out"
    )


def _decisive(config: dict[str, Any]) -> dict[str, Any]:
    return {
        group: {key: value for key, value in values.items() if key not in _HARMLESS.get(group, ())}
        if isinstance(values, dict)
        else values
        for group, values in config.items()
        if group not in _DERIVED
    }


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat

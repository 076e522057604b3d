"""YAML files and ``--set`` overrides become typed settings, with every error at once."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from yaml import YAMLError

from neurofocus.errors import ConfigError
from neurofocus.resources import list_resources, read_resource
from neurofocus.schema.base import Settings
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.run import RunConfig
from neurofocus.schema.search import SearchSpace
from neurofocus.schema.video import VideoDatasetSpec

__all__ = [
    "load_cohort_spec",
    "load_run_config",
    "load_search_space",
    "load_video_spec",
    "suggest",
    "with_settings",
]

_S = TypeVar("_S", bound=Settings)
_NOUNS = {"configs": "config", "cohorts": "cohort", "searches": "search space", "videos": "video data set"}
_MAX_BYTES = 2**20
_MAX_SHOWN = 80


def load_run_config(source: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the run configuration of a shipped name or a YAML file, with overrides applied.

    Args:
        source: a shipped name ("demo", "activitynet", ...) or the path of a YAML file.
        overrides: dotted assignments, for example ``["model.patch_size=128"]``.

    Raises:
        ConfigError: naming every unknown key and unacceptable value with its dotted path.
    """
    return _load("configs", source, overrides, RunConfig)


def load_cohort_spec(source: str | Path) -> CohortSpec:
    """Return a cohort definition by shipped name or YAML file.

    Raises:
        ConfigError: as for ``load_run_config``.
    """
    return _load("cohorts", source, (), CohortSpec)


def load_search_space(source: str | Path = "default") -> SearchSpace:
    """Return what ``neurofocus tune`` searches, by shipped name or YAML file.

    Raises:
        ConfigError: as for ``load_run_config``.
    """
    return _load("searches", source, (), SearchSpace)


def load_video_spec(source: str | Path) -> VideoDatasetSpec:
    """Return the definition of a video data set by shipped name or YAML file.

    Raises:
        ConfigError: as for ``load_run_config``.
    """
    return _load("videos", source, (), VideoDatasetSpec)


def with_settings(config: RunConfig, settings: Mapping[str, Any], source: str) -> RunConfig:
    """Return a configuration with settings changed, given by dotted name.

    Args:
        config: the configuration.
        settings: dotted name -> value.
        source: where the settings stand, for the message.

    Raises:
        ConfigError: naming every unknown key and unacceptable value with its dotted path.
    """
    values = config.model_dump(mode="json")
    for name, value in settings.items():
        *groups, key = name.split(".")
        place: Any = values
        for group in groups:
            place = place.get(group)
            if not isinstance(place, dict):
                raise ConfigError(
                    f"{source}: {name}: unknown setting; give a dotted name of the run configuration"
                )
        place[key] = value
    return _validated(values, source, RunConfig)


def _load(kind: str, source: str | Path, overrides: Sequence[str], target: type[_S]) -> _S:
    values = _parse(_read(kind, source), str(source))
    for override in overrides:
        values = _merge(values, override)
    return _validated(OmegaConf.to_container(values, resolve=False), str(source), target)


def _validated(plain: Any, source: str, target: type[_S]) -> _S:
    try:
        return target.model_validate(plain)
    except ValidationError as error:
        lines = [_describe(dict(item), target) for item in error.errors()]
        raise ConfigError(f"{source}: " + "; ".join(lines)) from None


def _read(kind: str, source: str | Path) -> str:
    shipped = list_resources(kind)
    if str(source) in shipped:
        return read_resource(kind, str(source))
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        return _read_file(path)
    hint = suggest(str(source), shipped)
    raise ConfigError(
        f"{_NOUNS[kind]} {str(source)!r} is not shipped{hint}; known: {', '.join(shipped)}, or a .yaml file"
    )


def _read_file(path: Path) -> str:
    try:
        data = path.read_bytes()
        if len(data) > _MAX_BYTES:
            raise ConfigError(f"{path}: {len(data)} bytes are no settings; give a YAML file of ours")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a readable YAML file") from None
    except ValueError:
        raise ConfigError(f"{path}: cannot be read (not UTF-8 text); give a readable YAML file") from None


def _parse(text: str, source: str) -> Any:
    if "${" in text:
        raise ConfigError(f"{source}: '${{…}}' is refused in files; write the value itself")
    try:
        values = OmegaConf.create(text)
    except (YAMLError, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested too deeply; settings have four levels at most") from None
    if not OmegaConf.is_dict(values) or not values:
        raise ConfigError(f"{source}: must hold 'key: value' lines at its top level")
    return values


def _merge(values: Any, override: str) -> Any:
    try:
        return OmegaConf.unsafe_merge(values, _parse_override(override))  # in place: both are ours alone
    except TypeError:
        raise ConfigError(
            f"--set {override!r}: a list has no keys; give the whole list, as in a.b=[1,2]"
        ) from None


def _parse_override(override: str) -> Any:
    key, equals, _ = override.partition("=")
    if not equals or not key.strip() or "${" in override:
        raise ConfigError(f"--set {override!r}: write it as a.b=VALUE, for example train.epochs=20")
    try:
        return OmegaConf.from_dotlist([override])
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"--set {override!r}: {' '.join(str(error).split())}") from None


def _describe(item: Mapping[str, Any], target: type[BaseModel]) -> str:
    location = [str(part) for part in item["loc"]]
    path = ".".join(location) or "the whole"
    if item["type"] == "extra_forbidden":
        known = _fields_at(target, location[:-1])
        if len(location) == 1:  # epochs=3 is meant to be train.epochs=3
            known += [f"{name}.{key}" for name in known for key in _fields_at(target, [name])]
        inner = [name for name in known if name.endswith(f".{location[-1]}")]
        hint = suggest(inner[0] if inner else location[-1], known)
        return f"{path}: unknown key (value {_shown(item['input'])}){hint}"
    message = item["msg"].removeprefix("Value error, ")
    seen = "" if isinstance(item["input"], dict) else f" (got {_shown(item['input'])})"
    quotes = "; put it in quotes" if item["type"] == "string_type" else ""
    return f"{path}: {message[0].lower()}{message[1:]}{seen}{quotes}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _fields_at(target: type[BaseModel], location: Sequence[str]) -> list[str]:
    for part in location:
        field = target.model_fields.get(part)
        groups = [kind for kind in _kinds(field.annotation if field else None) if issubclass(kind, BaseModel)]
        if not groups:
            return []
        target = groups[0]
    return list(target.model_fields)


def _kinds(annotation: Any) -> list[type]:
    """Return the classes of an annotation such as ``SimulationConfig | None``."""
    return [kind for kind in (get_args(annotation) or (annotation,)) if isinstance(kind, type)]


def suggest(word: str, known: Sequence[str]) -> str:
    """Return ``; did you mean 'x'?`` when a known word is close, upper and lower case aside."""
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.7)
    return f"; did you mean {lower[close[0]]!r}?" if close else ""

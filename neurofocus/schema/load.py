"""YAML files and ``--set`` overrides become typed settings, with every error at once."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from yaml import YAMLError

from neurofocus.errors import ConfigError
from neurofocus.resources import list_resources, read_resource
from neurofocus.schema.base import Settings
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.run import RunConfig

__all__ = ["load_cohort_spec", "load_run_config"]

_S = TypeVar("_S", bound=Settings)


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


def _load(kind: str, source: str | Path, overrides: Sequence[str], target: type[_S]) -> _S:
    values = _parse(_read(kind, source), str(source))
    for override in overrides:
        values = OmegaConf.merge(values, _parse_override(override))
    plain = OmegaConf.to_container(values, resolve=False)
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
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read ({error}); give a readable YAML file") from None
    hint = _suggest(str(source), shipped)
    raise ConfigError(
        f"{kind[:-1]} {str(source)!r} is not shipped{hint}; known: {', '.join(shipped)}, or a .yaml file"
    )


def _parse(text: str, source: str) -> Any:
    if "${" in text:
        raise ConfigError(f"{source}: '${{…}}' is refused in files; write the value itself")
    try:
        values = OmegaConf.create(text)
    except (YAMLError, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None
    if not OmegaConf.is_dict(values):
        raise ConfigError(f"{source}: must hold 'key: value' lines at its top level")
    return values


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
        hint = _suggest(location[-1], _fields_at(target, location[:-1]))
        return f"{path}: unknown key (value {item['input']!r}){hint}"
    message = item["msg"].removeprefix("Value error, ")
    seen = "" if isinstance(item["input"], dict) else f" (got {item['input']!r})"
    return f"{path}: {message[0].lower()}{message[1:]}{seen}"


def _fields_at(target: type[BaseModel], location: Sequence[str]) -> list[str]:
    for part in location:
        field = target.model_fields.get(part)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        target = annotation
    return list(target.model_fields)


def _suggest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""

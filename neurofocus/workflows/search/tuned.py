"""The settings that ``neurofocus tune`` chose for each fold, as a cross-validation uses them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofocus.errors import CohortError, ConfigError
from neurofocus.files import sha256_file
from neurofocus.schema.load import with_settings
from neurofocus.schema.run import RunConfig

__all__ = ["BEST", "TunedSettings", "read_tuned"]

BEST = "best.json"  # in a fold's folder of the search


@dataclass(frozen=True)
class TunedSettings:
    """The settings that a search chose, by fold.

    Attributes:
        folder: of the search.
        settings: fold -> dotted name -> value.
        folds_sha256: of the folds.tsv that the search used.
        digest: of all of it.
    """

    folder: Path
    settings: Mapping[int, Mapping[str, Any]]
    folds_sha256: str
    digest: str

    def config_of(self, config: RunConfig, fold: int) -> RunConfig:
        """Return the configuration of a fold.

        Raises:
            ConfigError: the fold was not searched, or a setting does not fit.
        """
        if fold not in self.settings:
            raise ConfigError(
                f"--tuned {self.folder}: has no best settings of fold {fold}; finish the search: neurofocus tune --fold {fold}"
            )
        return with_settings(config, self.settings[fold], f"--tuned {self.folder} (fold {fold})")

    def refuse_other_folds(self, folds: Path) -> None:
        """Refuse a search over other folds: people whom a fold tests may have chosen its settings there.

        Args:
            folds: folds.tsv of the run.

        Raises:
            CohortError: naming both tables.
        """
        if sha256_file(folds) != self.folds_sha256:
            raise CohortError(
                f"leak (no independent test set): {self.folder / 'folds.tsv'} and {folds} differ, so people tested here "
                "may have chosen the settings; search again with the same data, seed and folds"
            )


def read_tuned(folder: Path) -> TunedSettings:
    """Read what ``tune`` left in its folder.

    Raises:
        ConfigError: no search there, or a damaged file.
    """
    settings: dict[int, Mapping[str, Any]] = {}
    for path in sorted(folder.glob(f"fold-*/{BEST}")):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            settings[int(found["fold"])] = dict(found["settings"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(f"{path}: damaged; remove the file and run neurofocus tune again") from None
    if not settings or not (folder / "folds.tsv").is_file():
        raise ConfigError(f"--tuned {folder}: holds no finished search; give the --out of neurofocus tune")
    folds = sha256_file(folder / "folds.tsv")
    digest = hashlib.sha256(json.dumps([settings, folds], sort_keys=True).encode()).hexdigest()
    return TunedSettings(folder, settings, folds, digest)

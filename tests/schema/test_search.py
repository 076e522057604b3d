"""What may be searched, and how a setting is changed by its dotted name."""

from pathlib import Path

import pytest

from neurofocus.errors import ConfigError
from neurofocus.schema.load import load_run_config, load_search_space, with_settings


def test_the_shipped_space_fits_every_run_configuration() -> None:
    space = load_search_space().space
    for name in ("mri", "demo"):
        config = with_settings(
            load_run_config(name), {key: kind.low or kind.choices[0] for key, kind in space.items()}, "space"
        )
        assert config.train.learning_rates.policy == space["train.learning_rates.policy"].low


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "model.patch_size: {low: 8, high: 9}",
            "'model.patch_size' cannot be searched; accepted are settings of train",
        ),
        ("train.epochs: {low: 3}", "needs low below high, or a list of choices"),
        ("train.epochs: {low: 3, high: 3}", "needs low below high"),
        ("train.epochs: {low: 3, high: 4, choices: [1]}", "give either choices or low and high"),
        ("train.weight_decay: {low: 0, high: 4, log: true}", "a logarithmic range starts above 0"),
        ("train.epochs: {lo: 3}", "unknown key"),
    ],
)
def test_mistakes(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(f"space:\n  {line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        load_search_space(path)


def test_an_unknown_space() -> None:
    with pytest.raises(ConfigError, match="search space 'defalt' is not shipped; did you mean 'default'"):
        load_search_space("defalt")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"train.epoch": 3}, "tuned: train.epoch: unknown key .* did you mean 'epochs'"),
        ({"train.epochs": 0}, "tuned: train.epochs: input should be greater than or equal to 1"),
        ({"training.epochs": 3}, "tuned: training.epochs: unknown setting"),
        ({"train.epochs.more": 3}, "tuned: train.epochs.more: unknown setting"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        with_settings(load_run_config("mri"), settings, "tuned")

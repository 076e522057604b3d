"""run.json: continue, refuse a change, start again without touching what is not ours."""

import json
from pathlib import Path

import pytest

from neurofocus import __version__
from neurofocus.errors import ConfigError, NeurofocusError
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.run_record import config_hash, open_run, provenance


def config(**data: int) -> RunConfig:
    return RunConfig.model_validate({"data": data, "cohort": "demo"})


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_run_is_recorded(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    record = open_run(out, config(), fresh=False)
    assert json.loads((out / "run.json").read_text(encoding="utf-8")) == record
    assert record["config"] == config().model_dump(mode="json")
    assert record["config_sha256"] == config_hash(config())
    assert record["provenance"]["versions"]["neurofocus"] == __version__
    assert record["created"].endswith("+00:00")
    assert str(tmp_path) not in (out / "run.json").read_text(encoding="utf-8")


def test_continuing_keeps_the_record_and_sweeps(tmp_path: Path) -> None:
    first = open_run(tmp_path, config(), fresh=False)
    before = (tmp_path / "run.json").read_bytes()
    (tmp_path / ".0.nf-partial.metrics.json").write_text("{", encoding="utf-8")
    (tmp_path / "fold-1").mkdir()
    assert open_run(tmp_path, config(), fresh=False) == first
    assert (tmp_path / "run.json").read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["fold-1", "run.json"]


def test_leftovers_of_a_killed_start_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".0.nf-partial.run.json").write_text("{", encoding="utf-8")
    open_run(tmp_path, config(), fresh=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_a_change_is_refused_and_named(tmp_path: Path) -> None:
    open_run(tmp_path, config(folds=5), fresh=False)
    (tmp_path / "fold-1").mkdir()
    before = content(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.folds was 5, now 3\); use the old settings") as caught:
        open_run(tmp_path, config(folds=3), fresh=False)
    assert "\n" not in str(caught.value)
    assert content(tmp_path) == before


def test_a_change_before_anything_was_trained_starts_again(tmp_path: Path) -> None:
    open_run(tmp_path, config(folds=5), fresh=False)
    (tmp_path / "folds.tsv").write_text("participant_id\n", encoding="utf-8")
    record = open_run(tmp_path, config(folds=3), fresh=False)
    assert record["config"]["data"]["folds"] == 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"'thesis\.txt', which no run has made"):
        open_run(tmp_path, config(folds=4), fresh=False)


def test_many_changes_are_counted(tmp_path: Path) -> None:
    open_run(tmp_path, config(), fresh=False)
    (tmp_path / "fold-1").mkdir()
    other = RunConfig.model_validate(
        {"seed": 4, "cohort": "mine", "train": {"epochs": 3, "amp": "bf16"}, "model": {"patch_size": 96}}
    )
    with pytest.raises(ConfigError, match=r"cohort was 'demo', now 'mine'; .* and 2 more"):
        open_run(tmp_path, other, fresh=False)


def test_settings_of_speed_may_change(tmp_path: Path) -> None:
    first = open_run(tmp_path, config(num_workers=0, prepare_jobs=1), fresh=False)
    assert open_run(tmp_path, config(num_workers=3, prepare_jobs=8), fresh=False) == first
    assert config_hash(config(num_workers=3)) == config_hash(config())
    assert config_hash(config(folds=3)) != config_hash(config())


def test_exits_may_change_after_training(tmp_path: Path) -> None:
    first = open_run(tmp_path, config(), fresh=False)
    (tmp_path / "fold-1").mkdir()
    (tmp_path / "fold-1" / "best.safetensors").write_bytes(b"weights")
    other = RunConfig.model_validate({"cohort": "demo", "exit": {"every": 2}})
    again = open_run(tmp_path, other, fresh=False)
    assert first["config"]["exit"]["every"] == 4
    assert again["config"]["exit"]["every"] == 2
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8")) == again
    assert {**again, "config": {**again["config"], "exit": None}} == {
        **first,
        "config": {**first["config"], "exit": None},
    }
    assert config_hash(other) == config_hash(config())
    assert (tmp_path / "fold-1" / "best.safetensors").read_bytes() == b"weights"


def test_a_setting_that_an_older_record_lacks_counts_as_a_change(tmp_path: Path) -> None:
    open_run(tmp_path, config(), fresh=False)
    (tmp_path / "fold-1").mkdir()
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    del record["config"]["train"]["epochs"]
    (tmp_path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"train\.epochs was None, now 50"):
        open_run(tmp_path, config(), fresh=False)


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    for fresh in (False, True):
        with pytest.raises(ConfigError, match="it is not a run; choose another folder"):
            open_run(tmp_path, config(), fresh=fresh)
    assert content(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("", encoding="utf-8")
    with pytest.raises(NeurofocusError, match="run: a file is where a folder is needed"):
        open_run(tmp_path / "run", config(), fresh=False)


@pytest.mark.parametrize("text", ["", "{", "[1", "\ufffd{"])
def test_an_unreadable_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"run\.json: not readable JSON; add --fresh"):
        open_run(tmp_path, config(), fresh=False)
    assert open_run(tmp_path, config(), fresh=True)["config"] == config().model_dump(mode="json")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not readable JSON"):
        open_run(tmp_path, config(), fresh=False)


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"config": 3}', '{"config": {}, "created": "x"}'])
def test_another_programs_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="not the record of a run; choose another --out"):
        open_run(tmp_path, config(), fresh=False)


def test_fresh_starts_again(tmp_path: Path) -> None:
    open_run(tmp_path, config(folds=5), fresh=False)
    for name in ("fold-1", "fold-12", "bundle"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("old", encoding="utf-8")
    for name in ("cohort.tsv", "folds.tsv", "predictions.tsv", "metrics.json", "report.html"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    (tmp_path / ".0.nf-partial.bundle").mkdir()
    record = open_run(tmp_path, config(folds=3), fresh=True)
    assert record["config"]["data"]["folds"] == 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_fresh_without_a_run_is_harmless(tmp_path: Path) -> None:
    open_run(tmp_path / "run", config(), fresh=True)
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["run.json"]


@pytest.mark.parametrize("name", ["notes.txt", "fold-x", "bundle-old", ".git"])
def test_fresh_removes_nothing_where_something_is_not_ours(tmp_path: Path, name: str) -> None:
    open_run(tmp_path, config(), fresh=False)
    (tmp_path / "fold-1").mkdir()
    (tmp_path / "fold-1" / "DONE").write_text("x", encoding="utf-8")
    (tmp_path / name).write_text("mine", encoding="utf-8")
    before = content(tmp_path)
    with pytest.raises(ConfigError, match=f"--fresh would remove '{name}', which no run has made"):
        open_run(tmp_path, config(), fresh=True)
    assert content(tmp_path) == before


def test_fresh_follows_no_link_out_of_the_run(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("x", encoding="utf-8")
    out = tmp_path / "run"
    open_run(out, config(), fresh=False)
    (out / "bundle").symlink_to(elsewhere)
    open_run(out, config(), fresh=True)
    assert (elsewhere / "kept").is_file()
    assert not (out / "bundle").exists()


def test_an_interrupted_removal_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_run(tmp_path, config(), fresh=False)
    for name in ("fold-1", "fold-2"):
        (tmp_path / name).mkdir()

    def stop(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.rmtree", stop)
        open_run(tmp_path, config(), fresh=True)
    assert (tmp_path / "run.json").is_file()
    open_run(tmp_path, config(), fresh=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_provenance_names_no_place() -> None:
    found = provenance()
    assert {"torch", "monai", "numpy", "python"} <= found["versions"].keys()
    assert set(found) == {"versions", "platform", "machine"}
    assert not any(str(Path.home()) in str(value) for value in found.values())

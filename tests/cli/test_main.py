"""Exit codes and messages of the command line, through the console entry point."""

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points

import pytest

import neurofocus
from neurofocus.errors import BundleError
from neurofocus.model import cost

Main = Callable[[Sequence[str] | None], int]


@pytest.fixture(scope="module")
def main() -> Main:
    (point,) = entry_points(group="console_scripts", name="neurofocus")
    loaded: Main = point.load()
    return loaded


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def raise_it(config: object, *, convention: str) -> None:
        raise error

    monkeypatch.setattr(cost, "measure_cost", raise_it)


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_help_lists_the_commands(
    main: Main, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr()
    for command in ("cv", "predict", "cohort", "profile"):
        assert f"\n  {command} " in shown.out
    assert "completion" not in shown.out
    assert not shown.err


def test_arguments_default_to_the_process(
    main: Main, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["neurofocus", "--version"])
    assert main(None) == 0
    assert capsys.readouterr().out == f"neurofocus {neurofocus.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "No such command 'nope'; see 'neurofocus --help'"),
        (["--nope"], "No such option: --nope; see 'neurofocus --help'"),
        (["cv"], "Missing option '--cohort'; see 'neurofocus cv --help'"),
        (["profile", "extra"], "Got unexpected extra argument(s) (extra); see 'neurofocus profile --help'"),
        (["cohort", "show"], "Missing argument 'name'; see 'neurofocus cohort show --help'"),
    ],
)
def test_usage_errors_are_one_line(
    main: Main, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err == f"neurofocus: error: {message}\n"
    assert not shown.out


def test_a_group_alone_shows_its_help(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cohort"]) == 2
    shown = capsys.readouterr()
    assert "Usage: neurofocus cohort" in shown.err
    assert "error:" not in shown.err


def test_what_the_user_can_mend_is_one_line(
    main: Main, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, BundleError("a\nname with\n  line breaks"))
    assert main(["profile"]) == 2
    shown = capsys.readouterr()
    assert shown.err == "neurofocus: error: a name with line breaks\n"
    assert not shown.out


def test_interruption(
    main: Main, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    assert main(["profile"]) == 130
    assert capsys.readouterr().err == "neurofocus: interrupted\n"


def test_an_interrupted_training_of_videos_can_be_continued(
    main: Main, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("neurofocus.schema.load.load_run_config", interrupted)
    assert main(["video", "train", "--dataset", "folder", "--data", "."]) == 130
    assert "interrupted; the same command (without --fresh) continues" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(["profile"])

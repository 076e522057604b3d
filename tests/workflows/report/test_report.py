"""The report is parsed as a browser would, and its figures compared with what went in."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofocus.data.folds import make_folds
from neurofocus.evaluation.summary import summarise
from neurofocus.ingest.flow import FlowStep
from neurofocus.schema.cohort import CohortSpec, Expectation
from neurofocus.workflows.report.notes import read_notes
from neurofocus.workflows.report.report import Example, ReportData, write_report
from neurofocus.workflows.report.tables import (
    ceiling_of,
    cohort_rows,
    confusion_rows,
    fold_rows,
    metric_rows,
    provenance_rows,
    role_rows,
)

VOID = {"meta", "img", "source", "br", "line", "circle"}


class Page(HTMLParser):
    """Checks nesting; keeps attributes, text and headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def make_data(
    *, synthetic: bool = False, classes: tuple[str, ...] = ("CN", "AD"), skill: float = 2.0
) -> ReportData:
    rng = np.random.default_rng(0)
    count = 60
    label = np.arange(count) % len(classes)
    cohort = pd.DataFrame(
        {
            "participant_id": [f"sub-{i:03d}" for i in range(count)],
            "session_id": "n/a",
            "path": "/secret/place/scan.nii.gz",
            "diagnosis": np.array(classes)[label],
            "label": label,
            "age": np.where(np.arange(count) < 3, np.nan, 70.0 + label),
            "sex": np.where(np.arange(count) % 3 == 0, "F", "M"),
            "site": np.where(np.arange(count) % 4 == 0, "A", "<b>&"),
            "space": "native",
        }
    )
    folds = make_folds(cohort, 5, 0.25, 0).frame
    logits = rng.normal(size=(count, len(classes)))
    logits[np.arange(count), label] += skill
    odds = np.exp(logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    predictions = pd.DataFrame(
        {
            "participant_id": cohort["participant_id"],
            "session_id": "n/a",
            "fold": folds["fold"],
            "label": np.array(classes)[label],
            "predicted": np.array(classes)[probabilities.argmax(axis=1)],
            **{f"prob_{name}": probabilities[:, k] for k, name in enumerate(classes)},
            "gflops": 0.5,
        }
    )
    ceiling = {"auc": 0.5, "balanced_accuracy": 0.99, "how": "from severities"} if synthetic else None
    metrics = summarise(
        predictions, classes, threshold_rule="validation", synthetic=synthetic, bayes_ceiling=ceiling
    )
    spec = CohortSpec(
        name="mini",
        title="Mini cohort",
        description="A <i>mini</i> cohort.",
        layout="bids",
        classes={name: [name] for name in classes},
        synthetic=synthetic,
        expectations=(Expectation(metric="auc", low=0.1, high=0.2, source="a paper"),),
    )
    example = Example(
        "sub-003", classes[-1], classes[0], 0.75, rng.normal(size=(3, 32, 32)), np.tile([16.0, 16.0, 9.0, 12.0], (3, 1)),
        [-20.0, -4.0, 8.0], "y", ("L", "R", "I", "S"),
    )  # fmt: skip
    flow = (
        FlowStep("T1w scans found", 62, {"AD": 31, "CN": 31}),
        FlowStep("diagnosis of no class: '<MCI>' (2)", 2, {"<MCI>": 2}, "dropped"),
        FlowStep("scans used", 60, {"AD": 30, "CN": 30}),
    )
    return ReportData(
        title="Cross-validation of mini",
        spec=spec,
        metrics=metrics,
        predictions=predictions,
        cohort=cohort,
        folds=folds,
        flow=flow,
        provenance={"seed": 3, "versions": {"torch": "2.13.0"}},
        config={"seed": 3, "model": {"patch_size": 128}},
        examples=(example,),
        warnings=("something <odd> was seen",),
    )


@pytest.fixture
def page(tmp_path: Path) -> tuple[str, Page]:
    write_report(tmp_path / "report.html", make_data())
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_it_is_one_file_without_references(page: tuple[str, Page]) -> None:
    text, parsed = page
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert "<script" not in text
    assert "@import" not in text
    assert "url(" not in text
    for tag, attributes in parsed.tags:
        for name in ("src", "srcset"):
            if name in attributes:
                assert str(attributes[name]).startswith("data:image/png;base64,"), tag
        if "href" in attributes:
            assert str(attributes["href"]).startswith("#")
    anchors = {str(a["href"])[1:] for _, a in parsed.tags if "href" in a}
    assert anchors <= {a.get("id") for _, a in parsed.tags}


def test_pictures_have_texts_and_themes(page: tuple[str, Page]) -> None:
    _, parsed = page
    images = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert len(images) == 3
    assert all(len(str(image["alt"])) > 20 for image in images)
    dark = [a for tag, a in parsed.tags if tag == "source"]
    assert all(a["media"] == "(prefers-color-scheme: dark)" for a in dark)
    assert len(dark) == 2
    assert "y = -20 mm, y = -4 mm, y = +8 mm" in str(images[2]["alt"])


def test_figures_stand_in_the_text(page: tuple[str, Page]) -> None:
    _, parsed = page
    metrics = make_data().metrics
    area = metrics["pooled"]["roc_auc"]
    assert f"{area['value']:.3f}" in parsed.text
    assert f"{area['low']:.3f} to {area['high']:.3f}" in parsed.text
    for words in (
        "Research use only, not a medical device",
        "1 GFLOP = 1e9 multiply-adds",
        "guessing reaches 0.500",
        "Look for a leak or a confound",
        "sub-003: is AD, predicted CN with probability 0.75 (wrong)",
        "left out: diagnosis of no class",
        "versions.torch 2.13.0",
        "patch_size: 128",
    ):
        assert words in parsed.text
    assert "SYNTHETIC" not in parsed.text


def test_text_is_escaped_and_paths_stay_out(page: tuple[str, Page]) -> None:
    text, parsed = page
    for harmless in ("something <odd> was seen", "A <i>mini</i> cohort.", "<b>& 45", "<MCI> 2"):
        assert harmless in parsed.text
    assert {"i", "odd", "mci"}.isdisjoint(tag for tag, _ in parsed.tags)
    assert "/secret" not in text


def test_a_simulated_cohort_is_called_synthetic_everywhere(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", make_data(synthetic=True))
    parsed = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert parsed.text.count("SYNTHETIC") >= 5
    assert parsed.text.startswith("SYNTHETIC: Cross-validation of mini SYNTHETIC: these scans were simulated")
    assert any(a.get("role") == "alert" for _, a in parsed.tags)
    assert "Bayes ceiling 0.990" in parsed.text
    assert "is above the Bayes ceiling 0.500" in parsed.text
    assert "from severities" in parsed.text


def test_three_classes(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", make_data(classes=("CN", "MCI", "AD")))
    parsed = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "predicted MCI" in parsed.text
    assert "Sensitivity" not in parsed.text
    assert "guessing reaches 0.333" in parsed.text


def test_without_examples_and_warnings(tmp_path: Path) -> None:
    data = make_data()
    bare = ReportData(**{**vars(data), "examples": (), "warnings": ()})
    write_report(tmp_path / "report.html", bare)
    parsed = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Where the model looked" not in parsed.text
    assert "Stopping early" not in parsed.text  # these metrics have no exits
    assert "warning" not in parsed.text


def test_rows_of_tables() -> None:
    data = make_data()
    classes = data.metrics["classes"]
    everyone = cohort_rows(data.cohort, classes)[-1]
    assert everyone["participants"] == "60"
    ages = data.cohort["age"]
    assert everyone["age"] == f"{ages.mean():.1f} ± {ages.std():.1f} (70 to 71), 3 unknown"
    assert everyone["sex"] == "F 20, M 40"
    assert [row[0] for row in fold_rows(data.metrics)] == ["1", "2", "3", "4", "5", "mean", "sd"]
    counts = np.array([[cell["count"] for cell in row["cells"]] for row in confusion_rows(data.metrics)])
    assert counts.tolist() == data.metrics["confusion_matrix"]
    roles = role_rows(data.folds, classes)
    assert len(roles) == 5
    assert roles[0][3] == "12 (CN 6, AD 6)"
    assert provenance_rows({"a": 1, "b": {"c": {"d": 2}}}) == [("a", "1"), ("b.c.d", "2")]


def test_what_cannot_be_measured_is_a_dash_without_a_bar() -> None:
    metrics = dict(make_data().metrics)
    metrics["pooled"] = {**metrics["pooled"], "roc_auc": {"value": None, "low": None, "high": None}}
    metrics["pooled"]["brier"] = {"value": 0.9, "low": 0.8, "high": 1.2}
    rows = {row["name"]: row for row in metric_rows(metrics)}
    assert rows["roc_auc"]["value"] == rows["roc_auc"]["interval"] == "–"
    assert rows["roc_auc"]["bar"] is None
    assert rows["brier"]["bar"] is None
    assert rows["balanced_accuracy"]["bar"] is not None
    assert ceiling_of(metrics, "roc_auc") is None


def test_notes_say_when_nothing_was_learned() -> None:
    notes = read_notes(make_data(skill=0.0).metrics, ())
    assert any("no evidence that the model learned" in note for note in notes)
    assert any("quote balanced accuracy" in note for note in notes)
    learned = read_notes(make_data(skill=4.0).metrics, ())
    assert not any("no evidence" in note for note in learned)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.0, 0.2, "above the expected range"), (0.99, 1.0, "below"), (0.2, 1.0, "lies in")],
)
def test_notes_compare_with_expectations(low: float, high: float, words: str) -> None:
    expected = Expectation(metric="auc", low=low, high=high, source="a paper")
    notes = read_notes(make_data(skill=1.0).metrics, [expected])
    assert any("ROC-AUC" in note and words in note and "a paper" in note for note in notes)
    wary = expected.model_copy(update={"alarm": 0.3})
    (alarm,) = [note for note in read_notes(make_data(skill=1.0).metrics, [wary]) if note.startswith("ALARM")]
    assert "above 0.3" in alarm and "Look for a leak" in alarm
    unknown = Expectation(metric="f1", low=0, high=1, source="x")
    assert not any("(x)" in note for note in read_notes(make_data().metrics, [unknown]))

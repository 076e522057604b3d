from typing import Any

import pytest
from pydantic import ValidationError

from neurofocus.schema.cohort import CohortSpec, SimulationConfig


def make(**changes: Any) -> CohortSpec:
    values = {
        "name": "mine",
        "title": "Mine",
        "description": "A test.",
        "layout": "bids",
        "classes": {"CN": ["CN", "HC"], "AD": ["AD"]},
        **changes,
    }
    return CohortSpec.model_validate(values)


def test_defaults() -> None:
    spec = make()
    assert spec.label_column == "diagnosis"
    assert spec.suffix == "T1w"
    assert spec.config == "mri"
    assert not spec.synthetic
    assert spec.simulation is None


def test_class_order_is_kept() -> None:
    assert list(make(classes={"b": ["1"], "a": ["2"], "c": ["3"]}).classes) == ["b", "a", "c"]


@pytest.mark.parametrize("name", ["demo", "ADNI-2.1_bl", "7T"])
def test_names(name: str) -> None:
    assert make(name=name).name == name


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a\n", "-x", "ä"])
def test_names_that_no_folder_should_have(name: str) -> None:
    with pytest.raises(ValidationError, match="should match pattern"):
        make(name=name)


@pytest.mark.parametrize("label", ["", " AD", "A\tD", "A\nD", "n/a", "\u200b"])
def test_labels_that_no_table_can_hold(label: str) -> None:
    with pytest.raises(ValidationError, match="cannot name a class"):
        make(classes={"CN": ["CN"], label: ["AD"]})


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({"CN": ["CN"]}, "at least two names"),
        ({}, "at least two names"),
        ({"CN": ["CN", "X"], "AD": ["X"]}, "no shared value"),
        ({"CN": ["CN", "CN"], "AD": ["AD"]}, "no shared value"),
        ({"CN": ["CN"], "AD": []}, "class 'AD' has no values"),
    ],
)
def test_class_rules(classes: dict[str, list[str]], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        make(classes=classes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subjects", 7),
        ("seed", -1),
        ("severity", -0.1),
        ("voxel_mm", 0.5),
        ("voxel_mm", 7.0),
        ("labels", "x"),
    ],
)
def test_simulation_limits(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        SimulationConfig.model_validate({field: value})


def test_orientations() -> None:
    spec = make(orientations={"RAW": ["ASL", "LAS"]})
    assert spec.orientations == {"RAW": ("ASL", "LAS")}
    assert make().orientations == {}


@pytest.mark.parametrize("letters", ["ASLX", "AS", "asl", "RLA", "header", ""])
def test_what_is_no_orientation(letters: str) -> None:
    with pytest.raises(ValidationError, match=r"is no orientation; give three letters"):
        make(orientations={"RAW": [letters]})


def test_an_orientation_that_names_none() -> None:
    with pytest.raises(ValidationError, match="'RAW' has no orientation"):
        make(orientations={"RAW": []})

"""What a video data set is: its list files, where its clips lie, how it is scored, what to expect of it."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from neurofocus.schema.base import Settings

__all__ = ["ClassOrder", "ListFormat", "ListPatterns", "OfficialCount", "VideoDatasetSpec"]

ListFormat = Literal[
    "frame-list",
    "frame-list-offset",
    "video-list",
    "kinetics-csv",
    "activitynet-json",
    "something-csv",
    "something-json",
    "fcvid",
    "diving48-json",
    "folders",
]
ClassOrder = Literal["sorted", "file"]
_TEMPLATE = re.compile(r"[^%/]*%(0[1-9])?d[^%/]*\.[A-Za-z]+")


class ListPatterns(Settings):
    """Names of list files by role; patterns have * and ?, case is aside; earlier patterns win over later ones."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    all: tuple[str, ...] = Field((), description="one file that holds every split")
    labels: tuple[str, ...] = Field((), description="labels in a file of their own, row by row")
    classes: tuple[str, ...] = Field((), description="class names whose place in the file is their index")
    names: tuple[str, ...] = Field(
        (), description="class names whose order the tools of the field disagree on"
    )


class OfficialCount(Settings):
    """How many clips a published edition has; of a split that is not stated, nothing is expected."""

    name: str
    train: int | None = Field(None, ge=1)
    validation: int | None = Field(None, ge=1)
    test: int | None = Field(None, ge=1)
    total: int | None = Field(
        None, ge=1, description="over all labelled splits, where only that is published"
    )
    within: float = Field(0.0, ge=0, lt=1, description="share that a rounded figure may be off")
    source: str


class VideoDatasetSpec(Settings):
    """One video data set; readable by a researcher who knows no Python."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="names folders: letters, digits, . _ -"
    )
    title: str
    description: str
    formats: dict[ListFormat, ListPatterns] = Field(description="list formats met -> names of their files")
    other_lists: dict[str, str] = Field(
        {}, description="names of list files that belong to another data set -> what to do about it"
    )
    folders: tuple[str, ...] = Field((".",), description="where clips may lie under the data folder")
    frame_templates: tuple[str, ...] = Field(
        (), description="names of extracted frames, such as img_%05d.jpg"
    )
    num_classes: int | None = Field(None, ge=2, description="none: as many as the data have")
    multi_label: bool = Field(False, description="a clip may have several labels")
    class_order: ClassOrder = Field("sorted", description="index of labels that are given as names")
    class_order_note: str = Field("", description="what to know about orders of classes in the wild")
    metric: Literal["map", "top1"] = "top1"
    scored: Literal["validation", "test"] | None = Field(
        None, description="split that the field reports on; none: test where other validation clips are there"
    )
    flip: bool = Field(description="whether a mirrored clip keeps its label")
    counts: tuple[OfficialCount, ...] = ()
    simulation: Literal["digits"] | None = Field(
        None, description="made here at the first use; else delivered"
    )
    split_note: str = Field("", description="what to know about a split drawn here")

    @field_validator("frame_templates")
    @classmethod
    def _printf(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if not _TEMPLATE.fullmatch(template):
                raise ValueError(
                    f"{template!r} is no frame template; give one such as img_%05d.jpg or %d.png"
                )
        return templates

    @model_validator(mode="after")
    def _every_format_has_files(self) -> "VideoDatasetSpec":
        for name, files in self.formats.items():
            if name != "folders" and not (files.train or files.validation or files.test or files.all):
                raise ValueError(
                    f"format {name!r} names no list file; give patterns under train, validation, test or all"
                )
        if not self.formats or not self.folders:
            raise ValueError("at least one format and one folder are needed")
        return self

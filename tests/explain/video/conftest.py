"""The file of the grey clip."""

from pathlib import Path

import pytest
from data.video.clips import write_video
from explain.video.grey_clip import grey


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = [grey(90, 120) for _ in range(30)]
    return write_video(tmp_path_factory.mktemp("pictures") / "clip.mp4", images=images, size=(90, 120))

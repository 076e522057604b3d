"""One folder of tiny clips and one finished training on it; tests only read them."""

from pathlib import Path

import pytest
import torch
from workflows.video.tiny_video import put_clips_by_class, small_config

from neurofocus.workflows.video.source import VideoData, find_videos
from neurofocus.workflows.video.train import VideoRun, fitted, train_videos

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def clips_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put_clips_by_class(tmp_path_factory.mktemp("videos") / "clips")


@pytest.fixture(scope="session")
def data(clips_root: Path) -> VideoData:
    return find_videos("folder", clips_root)


@pytest.fixture(scope="session")
def run(data: VideoData, tmp_path_factory: pytest.TempPathFactory) -> VideoRun:
    out = tmp_path_factory.mktemp("video-run") / "run"
    return train_videos(fitted(small_config(), data), data, out, device=CPU)

"""One grey clip and a model's look at it, for tests of pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from neurofocus.data.video.augment import Crop
from neurofocus.data.video.file import VideoFile
from neurofocus.explain.video.clip import ExplainedClip

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def grey(height: int, width: int, value: int = 160) -> Pixels:
    return np.full((height, width, 3), value, np.uint8)


def explained(path: Path, **changes: Any) -> ExplainedClip:
    """A clip of 90 x 120 pixels, read as 36 x 48, of which the model sees 32 x 32; frames 4 and 20 are chosen."""
    source = VideoFile(path, threads=1)
    given: dict[str, Any] = {
        "title": "clip",
        "answers": (("cat", 0.75), ("dog", 0.25)),
        "gflops": 1.5,
        "notes": (),
        "source": source,
        "seconds": source.timestamps(range(source.num_frames)),
        "crop": Crop((36, 48), 2, 8, 32, 32),
        "view_size": 32,
        "glance": np.array([5, 15, 25]),
        "weights": np.array([0.2, 0.5, 0.3]),
        "chosen": np.array([4, 20]),
        "boxes": np.array([[10.0, 20.0, 8.0, 12.0], [22.0, 10.0, 16.0, 16.0]]),
    }
    return ExplainedClip(**given | changes)

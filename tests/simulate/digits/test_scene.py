from collections import Counter

import numpy as np
import pytest

from neurofocus.simulate.digits.glyphs import images_of_part
from neurofocus.simulate.digits.recipe import DIFFICULTIES, PARTS, DigitsConfig, Part
from neurofocus.simulate.digits.scene import Sprite, draw_scenes

CONFIG = DigitsConfig(seed=3)


def _inside(sprite: Sprite, side: int) -> bool:
    centers, sizes = sprite.boxes[:, :2], sprite.boxes[:, :1:-1]
    return bool(((centers - sizes / 2 >= -1e-3) & (centers + sizes / 2 <= side + 1e-3)).all())


@pytest.mark.parametrize("part", PARTS)
def test_a_scene_is_a_function_of_seed_part_and_index(part: Part) -> None:
    scenes = draw_scenes(CONFIG, part, 17)
    again = draw_scenes(CONFIG, part, 17)
    np.testing.assert_array_equal(scenes[0].target.boxes, again[0].target.boxes)
    np.testing.assert_array_equal(scenes[-1].background, again[-1].background)
    other_seed = draw_scenes(CONFIG.model_copy(update={"seed": 4}), part, 17)
    assert not np.array_equal(scenes[0].background, other_seed[0].background)
    others = [draw_scenes(CONFIG, other, 17)[0].background for other in PARTS if other != part]
    assert not any(np.array_equal(scenes[0].background, other) for other in others)


@pytest.mark.parametrize("index", range(40))
def test_a_video_is_what_its_kind_promises(index: int) -> None:
    (scene,) = draw_scenes(CONFIG, "train", index)
    kind = {difficulty.name: difficulty for difficulty in DIFFICULTIES}[scene.difficulty]
    frames = np.flatnonzero(scene.present)
    assert len(frames) == round(kind.present * CONFIG.num_frames)
    assert frames[-1] - frames[0] + 1 == len(frames)  # consecutive
    np.testing.assert_array_equal(scene.target.opacity > 0, scene.present)
    assert (scene.hidden[~scene.present] == 0).all()
    side = np.sqrt(scene.target.boxes[:, 2] * scene.target.boxes[:, 3]) / CONFIG.frame_size
    assert kind.side[0] <= side.min() and side.max() <= kind.side[1]
    assert scene.image in images_of_part("train")[scene.digit]
    assert all(_inside(sprite, CONFIG.frame_size) for sprite in (scene.target, *scene.distractors))


def test_drift_is_straight_and_slow() -> None:
    boxes = draw_scenes(CONFIG, "test", 5)[0].target.boxes
    steps = np.diff(boxes[:, :2], axis=0)
    assert np.abs(steps).max() <= 0.0125 * CONFIG.frame_size + 1e-3
    # Between bounces the step is constant: at most a bounce or two an axis in a short video.
    assert all(len(np.unique(np.abs(steps[:, axis]).round(2))) <= 3 for axis in (0, 1))
    np.testing.assert_array_equal(boxes[:, 2:], boxes[:1, 2:].repeat(len(boxes), 0))


def test_classes_and_kinds_take_turns() -> None:
    scenes = [draw_scenes(CONFIG, "validation", index)[0] for index in range(40)]
    assert Counter(scene.digit for scene in scenes) == dict.fromkeys(range(10), 4)
    assert Counter((scene.digit, scene.difficulty) for scene in scenes) == {
        (digit, kind): 2 for digit in range(10) for kind in ("easy", "hard")
    }


@pytest.mark.parametrize(("share", "hard"), [(0.0, 0), (0.25, 10), (1.0, 40)])
def test_the_share_of_hard_videos_is_configured(share: float, hard: int) -> None:
    config = CONFIG.model_copy(update={"hard_share": share})
    scenes = [draw_scenes(config, "train", index)[0] for index in range(40)]
    assert sum(scene.difficulty == "hard" for scene in scenes) == hard


def test_the_hue_says_the_pair_and_nothing_more() -> None:
    """Within a pair colours are drawn alike; pairs differ by 72 degrees."""
    import colorsys

    for index in range(30):
        scene = draw_scenes(CONFIG, "train", index)[0]
        hue, saturation, _ = colorsys.rgb_to_hsv(*(float(value) for value in scene.target.color))
        assert np.isclose((hue * 5) % 5, scene.digit % 5, atol=1e-3) or np.isclose(hue, 1, atol=1e-3)
        assert saturation > 0.7
        pale = [colorsys.rgb_to_hsv(*map(float, sprite.color))[1] for sprite in scene.distractors]
        assert max(pale) <= 0.36


def test_stills_are_unrelated_frames_of_one_class_that_all_show_it() -> None:
    scenes = draw_scenes(CONFIG, "stills", 7)
    assert len(scenes) == CONFIG.num_frames
    assert {scene.digit for scene in scenes} == {7}
    assert all(len(scene.present) == 1 and scene.present.all() for scene in scenes)
    assert len({scene.image for scene in scenes}) > 10
    assert {scene.image for scene in scenes} <= set(images_of_part("train")[7])
    assert {scene.difficulty for scene in scenes} == {"easy", "hard"}

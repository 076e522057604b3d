import numpy as np
import pytest
import torch

from neurofocus.simulate.digits.recipe import DigitsConfig
from neurofocus.simulate.digits.render import noise_bank, render
from neurofocus.simulate.digits.scene import Scene, Sprite, draw_scenes

CONFIG = DigitsConfig(frame_size=64, num_frames=12)
SILENT = np.zeros_like(noise_bank(CONFIG))


def _scene(image: np.ndarray, boxes: list[tuple[float, ...]], present: list[bool]) -> Scene:
    frames = len(boxes)
    sprite = Sprite(
        images=np.repeat(image[None], frames, 0).astype(np.float32),
        boxes=np.array(boxes, np.float32),
        color=np.array([1.0, 0.5, 0.0], np.float32),
        opacity=np.array(present, np.float32),
    )
    return Scene(
        digit=0,
        difficulty="easy",
        image=0,
        hidden=np.zeros(frames, np.int64),
        present=np.array(present),
        target=sprite,
        distractors=(),
        background=np.full((6, 6, 3), 0.2, np.float32),
    )


def _draw(scene: Scene) -> np.ndarray:
    return render(CONFIG, scene, SILENT, np.random.default_rng(0))


def test_a_sprite_of_its_own_resolution_is_copied_pixel_by_pixel() -> None:
    image = np.random.default_rng(1).random((8, 8))
    frame = _draw(_scene(image, [(24.0, 40.0, 8.0, 8.0)], [True]))[0]
    alpha = np.minimum(image * 1.4, 1)[..., None]
    expected = 255 * (0.2 * (1 - alpha) + alpha * np.array([1.0, 0.5, 0.0]))
    np.testing.assert_allclose(frame[36:44, 20:28], expected, atol=1)
    outside = np.ones((64, 64), bool)
    outside[36:44, 20:28] = False
    np.testing.assert_array_equal(frame[outside], 51)


def test_an_enlarged_sprite_is_interpolated_as_torch_does() -> None:
    image = np.zeros((8, 8), np.float32)
    image[1:7, 1:7] = (
        np.random.default_rng(2).random((6, 6)) / 1.4
    )  # a blank rim: torch repeats it, we fade out
    frame = _draw(_scene(image, [(32.0, 32.0, 32.0, 24.0)], [True]))[0]
    scaled = torch.nn.functional.interpolate(torch.tensor(image)[None, None], (32, 24), mode="bilinear")
    alpha = 1.4 * scaled[0, 0].numpy()
    np.testing.assert_allclose(frame[16:48, 20:44, 0], 255 * (0.2 + 0.8 * alpha), atol=1)


def test_absent_frames_show_the_background_and_present_ones_follow_the_box() -> None:
    boxes = [(12.0 + 4 * t, 20.0, 8.0, 8.0) for t in range(4)]
    video = _draw(_scene(np.ones((8, 8)), boxes, [False, True, True, False]))
    assert (video[[0, 3]] == 51).all()
    for t in (1, 2):
        columns = np.flatnonzero((video[t, 20] != 51).any(-1))
        assert columns.mean() + 0.5 == boxes[t][0]


@pytest.mark.parametrize("corner", [(2.0, 2.0), (62.0, 62.0)])
def test_a_sprite_at_the_border_is_cut(corner: tuple[float, float]) -> None:
    frame = _draw(_scene(np.ones((8, 8)), [(*corner, 8.0, 8.0)], [True]))[0]
    assert (frame != 51).any()


def test_noise_is_what_the_bank_holds() -> None:
    scene = _scene(np.zeros((8, 8)), [(32.0, 32.0, 8.0, 8.0)] * 12, [False] * 12)
    video = render(CONFIG, scene, noise_bank(CONFIG), np.random.default_rng(0)).astype(float)
    assert video.std() == pytest.approx(0.015 * 255, rel=0.05)
    np.testing.assert_array_equal(video[..., 0], video[..., 1])  # brightness only


def test_a_drawn_video_has_its_digit_in_colour_inside_the_true_box() -> None:
    for index in range(20):
        (scene,) = draw_scenes(CONFIG, "train", index)
        frames = _draw(scene).astype(float)
        vivid = (frames.max(-1) - frames.min(-1)) > 130
        for t in range(CONFIG.num_frames):
            y, x = np.nonzero(vivid[t])
            if not scene.present[t]:
                assert not len(y)
                continue
            x_c, y_c, height, width = scene.target.boxes[t]
            assert len(y) > 3
            assert (np.abs(x + 0.5 - x_c) <= width / 2 + 1).all()
            assert (np.abs(y + 0.5 - y_c) <= height / 2 + 1).all()

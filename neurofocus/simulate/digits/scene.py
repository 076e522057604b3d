"""One video as numbers: what is drawn where in every frame, before any pixel exists."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurofocus.simulate.digits.glyphs import (
    Floats,
    Integers,
    digit_images,
    hide_half,
    images_of_part,
    scramble,
)
from neurofocus.simulate.digits.recipe import (
    CLASSES,
    DIFFICULTIES,
    HUES,
    PARTS,
    Difficulty,
    DigitsConfig,
    Part,
    Stream,
    generator,
)

__all__ = ["Scene", "Sprite", "draw_scenes"]

_DISTRACTORS = 4
_DISTRACTOR_SIDE = (0.12, 0.36)
_SPEED = 0.0125  # largest drift along an axis, share of the frame a frame
_LOG_ASPECT = 0.3  # largest |logarithm of height by width|
_TEXTURE_NODES = 6
_VIVID = (0.75, 0.95)  # saturation of the digit
_PALE = (0.0, 0.35)  # and of everything else


@dataclass(frozen=True)
class Sprite:
    """Something small that drifts.

    Attributes:
        images: ink in 0..1, [T, 8, 8].
        boxes: (x_c, y_c, height, width), pixels, [T, 4].
        color: RGB in 0..1, [3].
        opacity: 0 where it is absent, [T].
    """

    images: Floats
    boxes: Floats
    color: Floats
    opacity: Floats


@dataclass(frozen=True)
class Scene:
    """Consecutive frames of one digit.

    Attributes:
        digit: the class.
        difficulty: name of its kind.
        image: index of the handwritten image in scikit-learn's digits.
        hidden: which half of the digit a frame lacks, see `hide_half`, [T].
        present: whether a frame shows the digit, [T].
        target: the digit.
        distractors: pale scrambled digits behind it, in all frames.
        background: nodes of a smooth texture, RGB in 0..1, [n, n, 3].
    """

    digit: int
    difficulty: str
    image: int
    hidden: Integers
    present: NDArray[np.bool_]
    target: Sprite
    distractors: tuple[Sprite, ...]
    background: Floats


def draw_scenes(config: DigitsConfig, part: Part, index: int) -> tuple[Scene, ...]:
    """Draw one file of a part: a video is one scene, a file of stills is one scene a frame.

    A function of the arguments alone. The classes take turns, and so do easy and hard videos in the configured
    proportion.
    """
    rng = generator(config.seed, Stream.SCENE, PARTS.index(part), index)
    digit, turn = index % len(CLASSES), index // len(CLASSES)
    if part == "stills":
        kinds = (rng.random(config.num_frames) < config.hard_share).astype(int)
        return tuple(_scene(config, part, digit, DIFFICULTIES[kind], rng) for kind in kinds)
    hard = int((turn + 1) * config.hard_share) > int(turn * config.hard_share)
    return (_scene(config, part, digit, DIFFICULTIES[hard], rng),)


def _scene(
    config: DigitsConfig, part: Part, digit: int, difficulty: Difficulty, rng: np.random.Generator
) -> Scene:
    frames = 1 if part == "stills" else config.num_frames
    shown = max(1, round(difficulty.present * frames))
    first = rng.integers(0, frames - shown + 1)
    present = (np.arange(frames) >= first) & (np.arange(frames) < first + shown)
    image = int(rng.choice(images_of_part(part)[digit]))
    hidden = np.where(present & (rng.random(frames) < difficulty.hidden), rng.integers(1, 5, frames), 0)
    target = Sprite(
        images=hide_half(np.repeat(digit_images()[0][image][None], frames, 0), hidden),
        boxes=_drift(config, frames, difficulty.side, rng),
        color=_tint((digit % HUES) / HUES, rng.uniform(*_VIVID), rng.uniform(0.85, 1.0)),
        opacity=np.where(present, rng.uniform(0.85, 1.0), 0).astype(np.float32),
    )
    distractors = tuple(_distractor(config, part, frames, rng) for _ in range(_DISTRACTORS))
    background = rng.uniform(0.15, 0.5) + rng.uniform(-0.15, 0.15, (_TEXTURE_NODES, _TEXTURE_NODES, 3))
    return Scene(
        digit, difficulty.name, image, hidden, present, target, distractors, background.astype(np.float32)
    )


def _distractor(config: DigitsConfig, part: Part, frames: int, rng: np.random.Generator) -> Sprite:
    """Draw strokes of some digit of the part, in a pale tint of any hue."""
    image = rng.choice(images_of_part(part)[int(rng.integers(len(CLASSES)))])
    strokes = scramble(digit_images()[0][image], rng)
    return Sprite(
        images=np.repeat(strokes[None], frames, 0),
        boxes=_drift(config, frames, _DISTRACTOR_SIDE, rng),
        color=_tint(rng.random(), rng.uniform(*_PALE), rng.uniform(0.5, 1.0)),
        opacity=np.full(frames, rng.uniform(0.4, 0.8), np.float32),
    )


def _drift(config: DigitsConfig, frames: int, sides: tuple[float, float], rng: np.random.Generator) -> Floats:
    """Return boxes [T, 4] of one size that move straight and bounce off the frame's border."""
    side, aspect = rng.uniform(*sides), np.exp(rng.uniform(-_LOG_ASPECT, _LOG_ASPECT) / 2)
    size = config.frame_size * np.array([side * aspect, side / aspect])  # height, width
    travel = config.frame_size - size
    speed = rng.uniform(-_SPEED, _SPEED, 2) * config.frame_size
    path = rng.uniform(0, travel) + speed * np.arange(frames)[:, None]
    corner = travel - np.abs(path % (2 * travel) - travel)  # a triangle wave
    centers = corner + size / 2
    return np.concatenate([centers[:, ::-1], np.broadcast_to(size, (frames, 2))], axis=1).astype(np.float32)


def _tint(hue: float, saturation: float, value: float) -> Floats:
    """Return RGB in 0..1 of a colour given as in HSV, [3]."""
    ramp = np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    return (value * (1 - saturation + saturation * ramp.clip(0, 1))).astype(np.float32)

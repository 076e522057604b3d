"""X3D against its published sizes and costs, and in the two layouts in which its weights are published."""

from math import ceil, prod
from pathlib import Path

import pytest
import torch
from model.golden_arrays import recorded_shapes, recorded_state
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from neurofocus.errors import BundleError
from neurofocus.model.encoders.build import build_encoder
from neurofocus.model.encoders.x3d import X3D
from neurofocus.schema.model import EncoderConfig, EncoderName

_SLOWFAST_S = recorded_shapes("x3d_s")
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_HEAD_PARAMETERS = 432 * 2048 + 2048 * 400 + 400

# SlowFast's names in pytorchvideo, written down apart from the code.
_STEM = {
    "s1.pathway0_stem.conv_xy.": "blocks.0.conv.conv_t.",
    "s1.pathway0_stem.conv.": "blocks.0.conv.conv_xy.",
    "s1.pathway0_stem.bn.": "blocks.0.norm.",
    "head.conv_5_bn.": "blocks.5.pool.pre_norm.",
    "head.conv_5.": "blocks.5.pool.pre_conv.",
    "head.lin_5.": "blocks.5.pool.post_conv.",
    "head.projection.": "blocks.5.proj.",
}
_BLOCK = {
    "branch1_bn.": "branch1_norm.",
    "branch1.": "branch1_conv.",
    "branch2.a_bn.": "branch2.norm_a.",
    "branch2.a.": "branch2.conv_a.",
    "branch2.b_bn.": "branch2.norm_b.0.",
    "branch2.b.": "branch2.conv_b.",
    "branch2.se.fc1.": "branch2.norm_b.1.block.0.",
    "branch2.se.fc2.": "branch2.norm_b.1.block.2.",
    "branch2.c_bn.": "branch2.norm_c.",
    "branch2.c.": "branch2.conv_c.",
}


def pytorchvideo_name(name: str) -> str:
    for old, new in _STEM.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    stage, block, rest = name.split(".", 2)
    for old, new in _BLOCK.items():
        if rest.startswith(old):
            index = block.removeprefix("pathway0_res")
            return f"blocks.{int(stage[1]) - 1}.res_blocks.{index}.{new}{rest.removeprefix(old)}"
    raise AssertionError(name)


def with_norm(model: X3D) -> X3D:
    """Give the first shortcut the normalisation that it has in SlowFast."""
    model.s2["pathway0_res0"].branch1_bn = nn.BatchNorm3d(model.s2["pathway0_res0"].branch1.out_channels)
    return model


def encoder_part(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(X3D.head_prefixes)}


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def config(path: Path, name: EncoderName = "x3d_s") -> EncoderConfig:
    return EncoderConfig(name=name, weights=str(path))


@pytest.mark.parametrize(
    ("name", "slowfast", "pytorchvideo", "entries"),
    [
        ("x3d_s", 3_794_322, 3_794_274, 563),
        ("x3d_m", 3_794_322, 3_794_274, 563),
        ("x3d_l", 6_153_432, 6_153_384, 1141),
    ],
)
def test_published_sizes(name: EncoderName, slowfast: int, pytorchvideo: int, entries: int) -> None:
    model = build_encoder(EncoderConfig(name=name), 3)
    assert isinstance(model, X3D)
    assert model.out_channels == 432
    assert parameters(model) + _HEAD_PARAMETERS == pytorchvideo
    assert len(model.state_dict()) + 3 == entries
    assert parameters(with_norm(model)) + _HEAD_PARAMETERS == slowfast
    assert len(model.state_dict()) + 3 == entries + 5


def test_width_makes_the_published_xl() -> None:
    model = with_norm(X3D(variant="l", width=1.45))
    assert parameters(model) + model.out_channels * 2048 + 2048 * 400 + 400 == 11_095_904


def test_slowfasts_names_and_shapes() -> None:
    expected = {name: tuple(shape) for name, shape in _SLOWFAST_S.items()}
    seen = {name: tuple(value.shape) for name, value in with_norm(X3D(variant="s")).state_dict().items()}
    assert seen == {name: shape for name, shape in expected.items() if name in seen}
    assert {name for name in expected if name not in seen} == {
        "head.lin_5.weight",
        "head.projection.weight",
        "head.projection.bias",
    }
    learned = (shape for name, shape in expected.items() if not name.endswith(_BUFFERS))
    assert sum(map(prod, learned)) == 3_794_322


@pytest.mark.parametrize(
    ("variant", "num_frames", "side", "gflops"),
    [("s", 4, 160, 0.605), ("s", 13, 160, 1.963), ("m", 16, 224, 4.732), ("l", 16, 312, 18.368)],
)
def test_published_costs(variant: str, num_frames: int, side: int, gflops: float) -> None:
    with FakeTensorMode(), torch.no_grad():
        model = X3D(variant=variant).eval()  # type: ignore[arg-type]
        images = torch.empty(num_frames, 3, side, side)
        with FlopCounterMode(display=False) as counter:
            maps = model(images, num_frames)
    assert maps.shape == (num_frames, 432, ceil(side / 32), ceil(side / 32))
    head = 432 * 2048 + 2048 * 400
    assert round((counter.get_total_flops() / 2 + head) / 1e9, 3) == gflops


def tiny() -> X3D:
    torch.manual_seed(0)
    return X3D(variant="s", width=0.25).eval()


@torch.no_grad()
def test_clips_do_not_mix_and_frames_do() -> None:
    model = tiny()
    images = torch.randn(6, 3, 64, 64)
    maps = model(images, 3)
    assert maps.shape == (6, model.out_channels, 2, 2)
    torch.testing.assert_close(model(images[3:], 3), maps[3:])
    changed = images.clone()
    changed[5] += 1
    again = model(changed, 3)
    torch.testing.assert_close(again[:3], maps[:3])
    assert (again[3] - maps[3]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="6 images are not whole clips of 4"):
        model(images, 4)


@torch.no_grad()
def test_odd_sides_round_up() -> None:
    assert tiny()(torch.randn(2, 3, 65, 97), 2).shape[2:] == (3, 4)


def test_only_even_blocks_squeeze() -> None:
    state = tiny().state_dict()
    for stage, repeats in (("s2", 3), ("s3", 5), ("s4", 11), ("s5", 7)):
        squeezing = [f"{stage}.pathway0_res{i}.branch2.se.fc1.weight" in state for i in range(repeats)]
        assert squeezing == [i % 2 == 0 for i in range(repeats)]


@pytest.mark.parametrize("key", [None, "model_state", "state_dict"])
def test_both_layouts_compute_the_same(key: str | None, tmp_path: Path) -> None:
    state = recorded_state("x3d_s")
    state["s2.pathway0_res0.branch1_bn.running_var"][0] = 1e-5  # nearly silent: the epsilon counts
    reference = with_norm(X3D(variant="s")).eval()
    reference.load_state_dict(encoder_part(state))
    torch.save({key: state, "epoch": 300} if key else state, tmp_path / "slowfast.pyth")
    slowfast = build_encoder(config(tmp_path / "slowfast.pyth"), 3).eval()
    # A pytorchvideo file of the same function: its first shortcut has no normalisation.
    renamed = {pytorchvideo_name(name): value for name, value in slowfast.state_dict().items()}
    renamed |= {pytorchvideo_name(name): state[name] for name in state if name.startswith(X3D.head_prefixes)}
    assert len(renamed) == 563
    torch.save({key: renamed} if key else renamed, tmp_path / "pytorchvideo.pyth")
    pytorchvideo = build_encoder(config(tmp_path / "pytorchvideo.pyth"), 3).eval()
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        expected = reference(images, 4)
        assert expected.std() > 0.1
        assert (slowfast(images, 4) - expected).abs().max() <= 1e-5 * expected.abs().max()
        assert torch.equal(pytorchvideo(images, 4), slowfast(images, 4))


def test_the_gray_stem_sums_the_colours(tmp_path: Path) -> None:
    torch.save(recorded_state("x3d_s"), tmp_path / "s.pyth")
    colour, gray = (build_encoder(config(tmp_path / "s.pyth"), channels).eval() for channels in (3, 1))
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            gray(images, 2), colour(images.expand(-1, 3, -1, -1), 2), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"s3.pathway0_res1.branch2.a.weight": None}, r"1 missing: s3\.pathway0_res1\.branch2\.a\.weight"),
        ({"s2.pathway0_res0.branch1_bn.bias": None}, r"unexpected: s2\.pathway0_res0\.branch1_bn\.weight"),
        ({"s2.pathway0_res0.branch1_bn.bias": torch.zeros(5)}, r"unexpected: s2\.pathway0_res0\.branch1_bn"),
        ({"s2.pathway0_res0.branch1.weight": None}, r"1 missing: s2\.pathway0_res0\.branch1\.weight"),
        ({"s9.extra": torch.zeros(1)}, r"1 unexpected: s9\.extra"),
        ({"head.conv_5.weight": torch.zeros(4, 4)}, r"1 other shape: head\.conv_5\.weight \(4, 4\) instead"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(
    change: dict[str, Tensor | None], words: str, tmp_path: Path
) -> None:
    state = {name: value for name, value in (recorded_state("x3d_s") | change).items() if value is not None}
    torch.save(state, tmp_path / "wrong.pyth")
    with pytest.raises(BundleError, match=words) as error:
        build_encoder(config(tmp_path / "wrong.pyth"), 3)
    assert "\n" not in str(error.value)


def test_the_file_of_another_depth_is_refused(tmp_path: Path) -> None:
    torch.save({"model_state": recorded_state("x3d_s")}, tmp_path / "s.pyth")
    with pytest.raises(BundleError, match=r"not the weights of x3d_l .*\d+ missing: s2\.pathway0_res3"):
        build_encoder(config(tmp_path / "s.pyth", "x3d_l"), 3)
    assert isinstance(build_encoder(config(tmp_path / "s.pyth", "x3d_m"), 3), X3D)  # the same network

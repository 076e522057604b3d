"""ResNet against MONAI's 2-D ResNet, whose names are torchvision's."""

import pytest
import torch
from monai.networks.nets import resnet18, resnet34, resnet50
from torch.utils.flop_counter import FlopCounterMode

from neurofocus.model.encoders.resnet import ResNet

_REFERENCES = {18: resnet18, 34: resnet34, 50: resnet50}


def randomised(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a state whose normalisations are not the identity, so that their order matters."""
    generator = torch.Generator().manual_seed(3)
    state = {}
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            state[name] = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif tensor.dim() == 1:
            state[name] = 0.3 * torch.randn(tensor.shape, generator=generator) + 0.5
        else:
            state[name] = tensor.clone()
    return state


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_equals_monai(depth: int) -> None:
    torch.manual_seed(0)
    reference = _REFERENCES[depth](
        spatial_dims=2,
        n_input_channels=3,
        conv1_t_stride=2,
        bias_downsample=False,
        feed_forward=False,
        shortcut_type="B",
    ).eval()
    encoder = ResNet(depth=depth).eval()
    assert list(encoder.state_dict()) == list(reference.state_dict())
    state = randomised(encoder)
    encoder.load_state_dict(state)
    reference.load_state_dict(state)
    images = torch.randn(2, 3, 96, 70)
    with torch.no_grad():
        maps = encoder(images)
        expected = reference(images)
    assert maps.shape == (2, encoder.out_channels, 3, 3)
    torch.testing.assert_close(maps.mean((2, 3)), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 1e-2  # the comparison would notice a dead network


@pytest.mark.parametrize(
    ("depth", "parameters"),
    # torchvision's published counts less the 1000-way classifier
    [(18, 11_689_512 - 513_000), (34, 21_797_672 - 513_000), (50, 25_557_032 - 2_049_000)],
)
def test_parameter_counts(depth: int, parameters: int) -> None:
    with torch.device("meta"):
        encoder = ResNet(depth=depth)
    assert sum(p.numel() for p in encoder.parameters()) == parameters


@pytest.mark.parametrize(
    ("size", "gmacs"), [(96, 0.750725), (128, 1.334602), (160, 2.085300), (192, 3.002821), (224, 4.0871)]
)
def test_resnet50_multiply_adds_are_the_papers(size: int, gmacs: float) -> None:
    with torch.device("meta"):
        encoder = ResNet(depth=50)
        counter = FlopCounterMode(display=False)
        with counter:
            encoder(torch.empty(1, 3, size, size))
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmacs, abs=5e-5)


@pytest.mark.parametrize(
    ("depth", "width", "stem", "last"),
    [(18, 0.25, 16, 128), (50, 0.5, 32, 1024), (34, 0.01, 4, 5), (18, 0.3, 19, 154)],
)
def test_width(depth: int, width: float, stem: int, last: int) -> None:
    encoder = ResNet(1, depth=depth, width=width).eval()
    assert encoder.conv1.weight.shape == (stem, 1, 7, 7)
    assert encoder.out_channels == last
    assert encoder(torch.zeros(1, 1, 64, 64)).shape == (1, last, 2, 2)

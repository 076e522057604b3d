"""EfficientNet-Lite0 with its packaged ImageNet weights recognises scikit-learn's sample images."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image

from neurofocus.model.encoders.efficientnet_lite import EfficientNetLite0
from neurofocus.model.encoders.weights import locate_weights
from neurofocus.model.tensor_files import read_tensors
from neurofocus.schema.model import EncoderConfig

_PALACE, _DAISY = 698, 985


@pytest.fixture(scope="module")
def packaged() -> dict[str, torch.Tensor]:
    return read_tensors(locate_weights(EncoderConfig(name="efficientnet_lite0", weights="package")))


def test_names_are_the_packages_and_the_size_is_the_published_one(packaged: dict[str, torch.Tensor]) -> None:
    encoder = EfficientNetLite0()
    assert list(encoder.state_dict()) == [name for name in packaged if not name.startswith("_fc.")]
    head = sum(tensor.numel() for name, tensor in packaged.items() if name.startswith("_fc."))
    total = sum(p.numel() for p in encoder.parameters()) + head
    assert total == 4_652_008


@pytest.mark.parametrize(("name", "expected"), [("china.jpg", _PALACE), ("flower.jpg", _DAISY)])
def test_top_class_of_a_photograph(packaged: dict[str, torch.Tensor], name: str, expected: int) -> None:
    encoder = EfficientNetLite0().eval()
    encoder.load_state_dict({key: value for key, value in packaged.items() if not key.startswith("_fc.")})
    image = torch.tensor(load_sample_image(name)).permute(2, 0, 1)[None].float() / 255
    margin = (image.shape[3] - image.shape[2]) // 2
    square = image[..., margin : margin + image.shape[2]]
    pixels = F.interpolate(square, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        features = encoder((pixels - 0.5) / 0.5).mean((2, 3))
    logits = F.linear(features, packaged["_fc.weight"], packaged["_fc.bias"])
    assert logits.argmax().item() == expected
    assert logits.softmax(-1).max() > 0.2


def test_same_padding_puts_the_extra_pixel_right_and_below() -> None:
    # TensorFlow's rule at size 8, kernel 3, stride 2: one padding pixel in all, at the end. So the first
    # output sees pixels 0..2 and the last one pixels 6..7.
    conv = EfficientNetLite0(1)._conv_stem
    with torch.no_grad():
        conv.weight.fill_(1.0)
        image = torch.arange(64.0).reshape(1, 1, 8, 8)
        maps = conv(image)
    assert maps.shape[2:] == (4, 4)
    assert maps[0, 0, 0, 0] == image[0, 0, :3, :3].sum()
    assert maps[0, 0, 3, 3] == image[0, 0, 6:, 6:].sum()


@pytest.mark.parametrize(("size", "cells"), [((224, 224), (7, 7)), ((100, 33), (4, 2))])
def test_map_size(size: tuple[int, int], cells: tuple[int, int]) -> None:
    maps = EfficientNetLite0(1).eval()(torch.zeros(1, 1, *size))
    assert maps.shape == (1, 1280, *cells)

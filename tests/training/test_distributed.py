"""Two gloo processes share a batch: statistics, losses and gradients are those of one process."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neurofocus.training.distributed import BatchShare, gather_cases, is_main, joined, part
from neurofocus.training.losses import LossTerms
from neurofocus.training.shared_batch_norm import SharedBatchNorm, share_batch_norms

# Each process normalises its part of a batch of 7 and backpropagates; the first one writes what came out.
PROGRAM = """
import sys
import torch
from neurofocus.training.distributed import gather_cases, is_main, joined, part, sum_gradients
from neurofocus.training.shared_batch_norm import share_batch_norms

data = torch.load(sys.argv[1], weights_only=True)
with joined(torch.device("cpu")):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Linear(5, 2))
    share_batch_norms(model)
    number, processes = part()
    cut = slice(0, 3) if number == 0 else slice(3, 7)
    found = model(data["inputs"][cut])
    (found * data["factors"][cut]).sum().backward()
    sum_gradients(model)
    whole = gather_cases({position: found[place].detach() for place, position in enumerate(range(7)[cut])})
    if is_main():
        torch.save({
            "outputs": torch.stack([whole[position] for position in range(7)]),
            "gradients": [value.grad for value in model.parameters()],
            "statistics": [model[1].running_mean, model[1].running_var],
            "processes": processes,
        }, sys.argv[2])
"""


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    inputs = torch.randn(7, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    factors = torch.randn(7, 4, 4, 2, generator=torch.Generator().manual_seed(2))
    torch.save({"inputs": inputs, "factors": factors}, tmp_path / "in.pt")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, tmp_path / "program.py", tmp_path / "in.pt", tmp_path / "out.pt"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Linear(5, 2))
    outputs = model(inputs)
    (outputs * factors).sum().backward()  # type: ignore[no-untyped-call]
    assert found["processes"] == 2
    torch.testing.assert_close(found["outputs"], outputs.detach(), rtol=1e-5, atol=1e-6)
    for ours, one in zip(found["gradients"], model.parameters(), strict=True):
        torch.testing.assert_close(ours, one.grad, rtol=1e-4, atol=1e-5)
    norm = model[1]
    assert isinstance(norm, torch.nn.BatchNorm2d)
    torch.testing.assert_close(found["statistics"], [norm.running_mean, norm.running_var])


def test_alone_nothing_changes() -> None:
    assert part() == (0, 1)
    assert is_main()
    with joined(torch.device("cpu")) as device:
        assert device.type == "cpu"
    assert gather_cases({3: torch.ones(1)}).keys() == {3}
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Sequential(torch.nn.BatchNorm3d(2)))
    before = dict(model.state_dict())
    share_batch_norms(model)
    assert isinstance(model[0], SharedBatchNorm)
    assert isinstance(model[1][0], SharedBatchNorm)  # type: ignore[index]
    assert model.state_dict().keys() == before.keys()
    values = torch.randn(5, 2)
    assert torch.equal(model[0](values), torch.nn.BatchNorm1d(2)(values))


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 3.0])])
def test_the_shares_of_a_batch_add_up_to_its_objective(weights: torch.Tensor | None) -> None:
    labels = torch.tensor([0, 1, 1, 0, 1])
    losses = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    sizes = torch.tensor([0.5, 0.1, 0.2, 0.3, 0.4])
    factors = torch.ones(5) if weights is None else weights[labels]

    def terms(cases: slice) -> LossTerms:
        loss = (losses * factors)[cases].sum() / factors[cases].sum()
        size, zero = sizes[cases].mean(), torch.zeros(())
        return LossTerms(loss + size, loss, zero, zero, zero, size, zero, zero, None)

    parts = [slice(0, 2), slice(2, 5)]
    totals = [BatchShare.of(labels, cases, weights).total(terms(cases)) for cases in parts]
    assert float(sum(totals)) == pytest.approx(float(terms(slice(0, 5)).total))
    whole = BatchShare.of(labels, slice(0, 5), weights)
    assert whole.total(terms(slice(0, 5))) is not None
    assert (whole.weighted, whole.plain) == (1.0, 1.0)
    assert whole.values(terms(slice(0, 5)), ("total", "size")) == pytest.approx(
        [float(terms(slice(0, 5)).total), 0.3]
    )

"""A training step of the ActivityNet model, saving memory, against a straightforward implementation of its losses.

    python benchmarks/training.py                         CPU, one thread, batch 2, P = 128
    python benchmarks/training.py --device cuda --batch 16
    python benchmarks/training.py --keep-pages both       glibc keeps freed memory: on no side, on both, or on ours

Each side runs in a process of its own, in turn (A B A B), so that each has its own peak of memory: the process's largest
resident set, or the device's largest allocation. Straightforward: plain modules, float32, contiguous frames, crops by
grid_sample, the whole graph kept. Both share the weights, the frames and the random numbers; f_L's batch statistics
cover both passes on both sides, or the losses would differ. A step: forward, backward, SGD. Frames are random numbers.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from neurofocus.model.build import build_model
from neurofocus.model.draws import Draws
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_run_config
from neurofocus.schema.run import ObjectiveConfig
from neurofocus.training.cross_entropy import CrossEntropy
from neurofocus.training.losses import training_loss
from neurofocus.training.optim import build_optimizer
from neurofocus.training.policy_losses import temporal_loss
from neurofocus.training.saving import saving_memory

TOLERANCE = 1e-3
SIDES = ("straightforward", "neurofocus")
KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": str(8 << 30), "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}


def sampled(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Crop boxes (x_c, y_c, height, width) [N, 4] in pixels out of images [N, C, S, S], zeros outside."""
    scale = boxes / images.shape[-1]
    x, y, height, width = scale.unbind(1)
    zero = torch.zeros_like(x)
    theta = torch.stack([width, zero, 2 * x - 1, zero, height, 2 * y - 1], 1).view(-1, 2, 3)
    grid = functional.affine_grid(theta, [len(images), images.shape[1], size, size], align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def straightforward(model: UniAdaFocus, frames: Tensor, labels: Tensor, draws: Draws) -> Tensor:
    """Return the objective of Eq. 22 as one would write it down, every term on."""
    config, entropy = model.config, CrossEntropy(labels, None, 0.0)
    glance = model.glance(frames, draws=draws)
    decision = model.decide(glance)
    indices = model.select_frames(decision, draws=draws)
    boxes = model.place_boxes(decision.detach(), indices), model.draw_boxes(indices, draws=draws)
    chosen = frames[torch.arange(len(frames), device=frames.device)[:, None], indices]
    patches = [sampled(chosen.flatten(0, 1), box.flatten(0, 1), config.patch_size) for box in boxes]
    maps = model.local_encoder(torch.cat(patches), config.num_focus_frames)
    local = maps.mean((-2, -1)).view(2, len(frames), config.num_focus_frames, -1)
    classification = torch.stack(
        [entropy(model.classifier(glance.global_features, features)) for features in local]
    ).mean()
    local_loss = torch.stack([entropy(model.local_head(features)) for features in local]).mean()
    global_logits = model.global_head(glance.global_features)
    objective = ObjectiveConfig()
    temporal = temporal_loss(
        model, decision, global_logits, entropy, num_samples=objective.num_mc_samples, draws=draws
    )
    constant = glance.global_maps.detach().flatten(0, 1)
    scale = constant.shape[-1] / config.frame_size
    crops = sampled(constant, decision.boxes.flatten(0, 1) * scale, int(scale * config.patch_size + 0.5))
    inside = crops.mean((-2, -1)).view(*glance.global_features.shape)
    spatial = entropy(model.policy_head(inside))
    size = (1 - decision.actions[..., 2:]).square().mean()
    return classification + local_loss + entropy(global_logits) + spatial + temporal + size


def work(side: str, arguments: argparse.Namespace, channel: Connection, gradients: Path) -> None:
    """Take a step a message; answer with (process seconds, wall seconds, peak bytes)."""
    torch.set_num_threads(arguments.threads)
    config = load_run_config("activitynet", [f"train.batch_size={arguments.batch}"])
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    model = build_model(config.model).to(device).train()
    assert isinstance(model, UniAdaFocus)
    optimizer = build_optimizer(model, config.train)
    frames = torch.randn(arguments.batch, config.model.num_frames, 3, 224, 224).to(device)
    labels = (torch.arange(arguments.batch) % config.model.num_classes).to(device)
    with saving_memory(model) if side == "neurofocus" else nullcontext():
        channel.send(None)
        while channel.recv():
            start = time.process_time(), time.perf_counter()
            torch.manual_seed(1)  # dropout
            draws = Draws(torch.Generator().manual_seed(2))
            optimizer.zero_grad(set_to_none=True)
            if side == "straightforward":
                total = straightforward(model, frames, labels, draws)
            else:
                objective = config.train.objective
                total = training_loss(
                    model, frames, labels, objective=objective, class_weights=None, draws=draws
                ).total
            torch.autograd.backward(total)
            optimizer.step()
            del total
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds = time.process_time() - start[0], time.perf_counter() - start[1]
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            channel.send((*seconds, torch.cuda.max_memory_allocated() if device.type == "cuda" else peak))
            if not gradients.is_file():  # of the first step, when the weights are still the same
                found = {
                    name: value.grad.cpu()
                    for name, value in model.named_parameters()
                    if value.grad is not None
                }
                torch.save(found, gradients)


def start(side: str, arguments: argparse.Namespace, folder: Path) -> Connection:
    """Start one side's process; the allocator's settings are read when it starts."""
    kept = arguments.keep_pages == "both" or (arguments.keep_pages == "ours" and side == "neurofocus")
    settings = KEEP_PAGES if kept else {}
    os.environ.update(settings)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(side, arguments, there, folder / side), daemon=True)
    process.start()
    here.recv()
    for name in settings:
        del os.environ[name]
    return here


def differences(folder: Path) -> list[tuple[float, float, str]]:
    """Return (difference as a share of the gradient's norm, that norm, name) of every parameter, the worst first."""
    plain, ours = (torch.load(folder / side) for side in SIDES)
    assert plain.keys() == ours.keys()
    norms = {name: float(value.norm()) for name, value in plain.items()}
    return sorted(
        ((float((ours[name] - plain[name]).norm()) / norm, norm, name) for name, norm in norms.items()),
        reverse=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="after one to warm up")
    parser.add_argument(
        "--keep-pages",
        choices=("none", "both", "ours"),
        default="none",
        help="which sides' glibc keeps pages",
    )
    arguments = parser.parse_args()
    found: dict[str, list[tuple[float, float, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        channels = {side: start(side, arguments, folder) for side in SIDES}
        for turn in range(arguments.rounds + 1):
            for side, channel in channels.items():
                channel.send(True)
                found[side].append(channel.recv())
                print(f"round {turn} {side:16}" + " ".join(f"{value:8.2f}" for value in found[side][-1][:2]))
        for channel in channels.values():
            channel.send(False)
        shares = differences(folder)
    settings = f"{arguments.device}, {arguments.threads} threads, batch {arguments.batch}"
    print(f"{settings}, float32, pages kept: {arguments.keep_pages}")
    medians = {}
    for side, rows in found.items():
        cpu, wall = (statistics.median(row[column] for row in rows[1:]) for column in (0, 1))
        medians[side] = cpu, wall, rows[-1][2] / 1e9
        images = arguments.batch * 48 / wall
        print(
            f"{side:16} {cpu:6.2f} s processor {wall:6.2f} s wall {medians[side][2]:5.2f} GB peak {images:6.1f} images/s"
        )
    plain, ours = (medians[side] for side in SIDES)
    print(f"faster by {plain[0] / ours[0]:.2f} (processor), {plain[1] / ours[1]:.2f} (wall)")
    print(f"peak memory {ours[2] / plain[2]:.2f} of the straightforward one's")
    above = sum(share > TOLERANCE for share, _, _ in shares)
    print(
        f"gradients: {above} of {len(shares)} parameters differ by more than {TOLERANCE} of their norm; the worst:"
    )
    for share, norm, name in shares[:12]:
        print(f"  {share:.1e} of {norm:.1e}  {name}")
    print(f"median difference {statistics.median(share for share, _, _ in shares):.1e}")


if __name__ == "__main__":
    main()

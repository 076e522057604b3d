"""CPU time of an encoder by form and by frames a call: `OMP_NUM_THREADS=1 python benchmarks/encoders.py`.

The glance (MobileNetV2, 16 frames of 224 pixels) and the focus (ResNet-50, 16 patches of 128; 8 of 96), and ResNet-50 on
8 whole frames as TSM+ has it. One process, freed memory kept, forms in turn; medians of process CPU time in
milliseconds, and the best form's share of a matrix product's rate in float32. Weights are random.
"""

import argparse
import copy
import statistics
import time

import torch

from neurofocus.allocator import keep_freed_memory
from neurofocus.errors import ConfigError
from neurofocus.inference.fast_encoder import FastEncoder
from neurofocus.inference.hardware import check_bfloat16
from neurofocus.model.cost import count_operations
from neurofocus.model.encoders.mobilenet import MobileNetV2
from neurofocus.model.encoders.protocol import Encoder
from neurofocus.model.encoders.resnet import ResNet
from neurofocus.schema.inference import PLAIN, InferenceSettings

CASES: dict[str, tuple[type[MobileNetV2] | None, int, int]] = {
    "glance": (MobileNetV2, 16, 224),
    "focus": (None, 16, 128),
    "focus-96": (None, 8, 96),
    "whole": (None, 8, 224),
}
FORMS = {
    "as built": PLAIN,
    "channels last": PLAIN.model_copy(update={"channels_last": True}),
    "folded": PLAIN.model_copy(update={"fold": True}),
    "folded, channels last": InferenceSettings(packed=False),
    "packed": InferenceSettings(),
}
BFLOAT16 = {
    "bfloat16, folded": InferenceSettings(packed=False, precision="bfloat16"),
    "bfloat16, packed": InferenceSettings(precision="bfloat16"),
}
COUNTS = (1, 2, 4, 8, 16)


def spent(work: object, *inputs: torch.Tensor) -> float:
    assert callable(work)
    start = time.process_time()
    work(*inputs)
    return 1e3 * (time.process_time() - start)


def table(encoder: Encoder, number: int, side: int, forms: dict[str, InferenceSettings], rounds: int) -> None:
    """Print one line a form, one column a number of frames a call."""
    counts = [count for count in COUNTS if count <= number]
    images, square = torch.randn(number, 3, side, side), torch.randn(1024, 1024)
    made = {
        (name, count): FastEncoder(
            copy.deepcopy(encoder),
            settings.model_copy(update={"frames_per_call": count}),
            shape=(3, side, side),
            num_frames=1,
        )
        for name, settings in forms.items()
        for count in counts
    }
    times: dict[tuple[str, int], list[float]] = {key: [] for key in made}
    products = []
    for _ in range(rounds + 1):  # the first one warms up
        for key, fast in made.items():
            times[key].append(spent(fast, images))
        products.append(spent(torch.matmul, square, square))
    print(f"{'':24}" + "".join(f"{count:>8}" for count in counts) + "  frames a call")
    for name in forms:
        print(f"{name:24}" + "".join(f"{statistics.median(times[name, count][1:]):8.0f}" for count in counts))
    gflops = count_operations(encoder, images).gflops("mac")[type(encoder).__name__]
    fastest = min(statistics.median(values[1:]) for (name, _), values in times.items() if name == "packed")
    rate = 1.024**3 / statistics.median(products[1:])
    print(
        f"packed: {gflops / fastest / rate:.0%} of a product's {1e3 * rate:.0f} GFLOPs a second (1e9 multiply-adds)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    keep_freed_memory()
    forms = dict(FORMS)
    try:
        check_bfloat16(torch.device("cpu"))
        forms |= BFLOAT16
    except ConfigError as error:
        print(f"without bfloat16: {error}")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.rounds} rounds in turn")
    for name in arguments.cases:
        kind, number, side = CASES[name]
        print(f"{name}: {number} frames of {side} pixels")
        encoder: Encoder = ResNet(depth=50) if kind is None else kind()
        with torch.inference_mode():
            table(encoder.eval(), number, side, forms, arguments.rounds)


if __name__ == "__main__":
    main()

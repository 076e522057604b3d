"""Whether the fast forms answer as the model as built does: `python benchmarks/inference_answers.py` (SYNTHETIC).

The ActivityNet network on 200 videos without content (see ``inference_cases.py``). Printed are the largest difference
of a probability at any exit step, the share of equal top-1 answers, the share of cases with the same frames, and how
many different answers there were.
"""

import argparse
import collections

import torch
from inference_cases import case, telling_model

from neurofocus.allocator import keep_freed_memory
from neurofocus.data.video.augment import normalise
from neurofocus.errors import ConfigError
from neurofocus.inference.hardware import check_bfloat16
from neurofocus.inference.optimise import optimised
from neurofocus.schema.inference import InferenceSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument(
        "--lessons", type=int, default=0, help="training steps of the encoders; none: random weights"
    )
    arguments = parser.parse_args()
    keep_freed_memory()
    model = telling_model(arguments.lessons)
    forms = {"float32": InferenceSettings()}
    try:
        check_bfloat16(torch.device("cpu"))
        forms["bfloat16"] = InferenceSettings(precision="bfloat16")
    except ConfigError as error:
        print(f"without bfloat16: {error}")
    fast = {name: optimised(model, settings) for name, settings in forms.items()}
    found: dict[str, list[tuple[float, bool, bool]]] = {name: [] for name in forms}
    answers: collections.Counter[int] = collections.Counter()
    for number in range(arguments.cases):
        frames = normalise(case(number), "imagenet")
        with torch.no_grad():
            plain, others = model(frames), {name: other(frames) for name, other in fast.items()}
        top = plain.logits[0, -1].argmax()
        answers[int(top)] += 1
        for name, output in others.items():
            difference = float((output.step_probs - plain.step_probs).abs().max())
            same = bool(output.logits[0, -1].argmax() == top)
            found[name].append((difference, same, torch.equal(output.frame_indices, plain.frame_indices)))
    print(
        f"SYNTHETIC, {arguments.cases} videos; {len(answers)} different answers, {answers.most_common(3)} the most common"
    )
    for name, rows in found.items():
        differences, equal, frames_equal = zip(*rows, strict=True)
        print(
            f"{name}: probabilities differ by at most {max(differences):.1e}, equal top-1 {sum(equal) / len(rows):.1%}, "
            f"same frames {sum(frames_equal) / len(rows):.1%}"
        )


if __name__ == "__main__":
    main()

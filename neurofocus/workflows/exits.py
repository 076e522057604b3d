"""What conditional exits need to know of a model: where a case may stop, and what each stop needs."""

from neurofocus.early_exit.plan import exit_ladder
from neurofocus.inference.stages import Network
from neurofocus.model.cost import measure_cost
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.early_exit import ExitLadder

__all__ = ["focus_frames_of", "ladder_of"]


def ladder_of(model: UniAdaFocus, every: int) -> ExitLadder:
    """Return the steps at which a case may stop, with what they cost of one crop.

    Args:
        model: whose exit steps these are.
        every: focus frames between two exits; without effect on a model that classifies clips.
    """
    costs = measure_cost(model.config).exit_gflops
    return exit_ladder(costs, len(costs) - model.num_global_exits, every=every)


def focus_frames_of(model: Network, step: int) -> int:
    """Return how many focus frames an exit step of the model needs."""
    steps = step + 1 - model.num_global_exits
    if steps <= 0:
        return 0
    return model.config.num_focus_frames if model.config.classifies_clips else steps

"""Typed results of the four stages. Shape letters: B batch, T glance, F focus, C, H, W, D feature, K class, E exit."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Decision", "FocusOutput", "GlanceOutput", "ModelOutput", "UniAdaFocusOutput"]


@dataclass(frozen=True)
class GlanceOutput:
    """What f_G saw (Eq. 1).

    Attributes:
        global_maps: e^G, [B, T, D, h, w].
        global_features: its spatial mean, [B, T, D].
    """

    global_maps: Tensor
    global_features: Tensor


@dataclass(frozen=True)
class Decision:
    """What the policy decided (sections 4.1.2 and 4.2).

    Attributes:
        actions: (y, x, h, w) in (0, 1), [B, T, 4]: y and x are fractions of the free travel, h and w of the
            free range of sizes. With one box a clip, all T rows are equal.
        boxes: (x_c, y_c, height, width) in pixels of the frame, x to the right and y down, [B, T, 4].
        frame_weights: w, a distribution over the T glance frames, [B, T].
    """

    actions: Tensor
    boxes: Tensor
    frame_weights: Tensor

    def detach(self) -> "Decision":
        """Return the same decision without its gradient."""
        return Decision(self.actions.detach(), self.boxes.detach(), self.frame_weights.detach())


@dataclass(frozen=True)
class FocusOutput:
    """What f_L saw (Eq. 2).

    Attributes:
        frame_indices: which of the T0 frames, strictly increasing, int64 [B, F].
        boxes: (x_c, y_c, height, width) in pixels of the frame, [B, F, 4].
        patches: the crops, resized to P x P, [B, F, C, P, P].
        local_features: the spatial mean of e^L, [B, F, D].
    """

    frame_indices: Tensor
    boxes: Tensor
    patches: Tensor
    local_features: Tensor


@dataclass(frozen=True)
class ModelOutput:
    """One forward pass of either kind of model.

    Attributes:
        logits: one prediction an exit step, [B, E, K]; the last one is the model's answer.
        boxes: of the focus frames, [B, F, 4]; see `FocusOutput`.
        frame_weights: over the glance frames, [B, T].
        frame_indices: the focus frames, int64 [B, F].
    """

    logits: Tensor
    boxes: Tensor
    frame_weights: Tensor
    frame_indices: Tensor

    @property
    def step_probs(self) -> Tensor:
        """p_t, the class probabilities at every exit step, [B, E, K]."""
        return self.logits.softmax(-1)


@dataclass(frozen=True)
class UniAdaFocusOutput(ModelOutput):
    """One forward pass of Uni-AdaFocus.

    Attributes:
        glance: the first stage's result.
        decision: the second stage's result.
        focus: the third stage's result.
    """

    glance: GlanceOutput
    decision: Decision
    focus: FocusOutput

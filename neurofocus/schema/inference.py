"""How a trained model is computed: settings that change its speed, not what it computes (up to rounding)."""

from typing import Literal

from pydantic import Field, model_validator

from neurofocus.schema.base import Settings

__all__ = ["PLAIN", "InferenceSettings"]


class InferenceSettings(Settings):
    """The fast forms of a model, each of which can be switched off; see ``docs/performance.md`` for what each brings."""

    fold: bool = Field(True, description="batch normalisations become part of the layer before them")
    channels_last: bool = Field(
        True, description="the encoders keep the channels of a pixel together in memory"
    )
    packed: bool = Field(
        True,
        description="on a CPU: a convolution, its sum and its activation are one call of oneDNN, and its weights are "
        "kept in the order that this call reads; without effect on GPUs",
    )
    sampled: bool = Field(True, description="crops read only the pixels that they need")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the encoders; policies, frame choice and classifier are always float32"
    )
    frames_per_call: int | None = Field(
        None,
        ge=1,
        description="frames that an encoder sees at a time, whole clips at least; none: as many as 8 of 224 x 224 pixels on a CPU, all on a GPU",
    )
    compile: bool = Field(
        False, description="encoders by torch.compile: a minute or so before the first answer"
    )

    @model_validator(mode="after")
    def _compatible(self) -> "InferenceSettings":
        if self.packed and not self.fold:
            raise ValueError("packed true needs fold true; set fold to true or packed to false")
        if self.packed and self.compile:
            raise ValueError("compile true writes kernels of its own; set packed or compile to false")
        return self


PLAIN = InferenceSettings(fold=False, channels_last=False, packed=False, sampled=False)

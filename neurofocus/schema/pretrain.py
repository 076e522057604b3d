"""How encoders first learn on stills where no pretrained weights exist (the digits benchmark)."""

from pydantic import Field, model_validator

from neurofocus.schema.base import Settings

__all__ = ["PretrainConfig"]


class PretrainConfig(Settings):
    """Optimisation on stills whose object's box is known, with AdamW and a cosine schedule."""

    epochs: int = Field(6, ge=1)
    batch_size: int = Field(64, ge=2, description="stills")
    learning_rate: float = Field(0.004, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    margin: tuple[float, float] = Field(
        (1.1, 2.5), description="side of a crop by the longer side of its object, drawn in this range"
    )

    @model_validator(mode="after")
    def _ordered(self) -> "PretrainConfig":
        if not 1 <= self.margin[0] <= self.margin[1]:
            raise ValueError(
                f"margin {self.margin} must be increasing and at least 1, for example [1.1, 2.5]"
            )
        return self

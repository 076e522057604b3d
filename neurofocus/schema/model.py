"""What the Uni-AdaFocus network looks like (paper sections 3 and 4, appendix H.1)."""

from typing import Literal

from pydantic import Field, model_validator

from neurofocus.schema.base import Settings

__all__ = [
    "ClassifierConfig",
    "EncoderConfig",
    "EncoderName",
    "ModelConfig",
    "PatchConfig",
    "SpatialPolicyConfig",
    "TemporalPolicyConfig",
    "without_initial_weights",
]

EncoderName = Literal[
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "efficientnet_lite0",
    "compact",
    "x3d_s",
    "x3d_m",
    "x3d_l",
]
_SHIFTABLE: tuple[EncoderName, ...] = ("mobilenet_v2", "resnet18", "resnet34", "resnet50")
_OF_CLIPS: tuple[EncoderName, ...] = ("x3d_s", "x3d_m", "x3d_l")


class EncoderConfig(Settings):
    """One of the two encoders, f_G or f_L."""

    name: EncoderName
    width: float = Field(1.0, gt=0, le=4, description="channel multiplier; 1 is the published network")
    weights: str | None = Field(None, description="a file, a URL (with sha256), or 'package'; none: random")
    weights_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    temporal_shift: bool = Field(False, description="TSM: some channels come from the neighbouring frames")

    @property
    def mixes_frames(self) -> bool:
        """Whether a frame's map depends on the other frames of its clip."""
        return self.temporal_shift or self.name in _OF_CLIPS

    @model_validator(mode="after")
    def _shiftable(self) -> "EncoderConfig":
        if self.temporal_shift and self.name not in _SHIFTABLE:
            raise ValueError(
                f"temporal_shift is not available for {self.name}; set it to false or choose one of "
                + ", ".join(_SHIFTABLE)
            )
        return self


class PatchConfig(Settings):
    """Deformable patches (section 4.1.2): side lengths are fractions of the frame's side."""

    min_fraction: float = Field(96 / 224, gt=0, le=1)
    max_fraction: float = Field(1.0, gt=0, le=1)
    deformable: bool = Field(True, description="off: every patch is patch_size x patch_size (table 7)")
    antialias: bool = Field(True, description="low-pass when a crop shrinks; released checkpoints: off")
    padding: Literal["border", "zeros"] = Field(
        "border", description="what lies outside the frame, within half a pixel; released checkpoints: zeros"
    )

    @model_validator(mode="after")
    def _ordered(self) -> "PatchConfig":
        if self.min_fraction > self.max_fraction:
            raise ValueError(
                f"min_fraction {self.min_fraction} exceeds max_fraction {self.max_fraction}; lower the first"
            )
        if self.antialias and self.padding == "zeros":
            raise ValueError(
                "padding 'zeros' needs antialias false; set padding to 'border' or antialias to false"
            )
        return self


class SpatialPolicyConfig(Settings):
    """The branch of the policy that places the boxes (appendix H.1)."""

    channels: int = Field(128, ge=1)
    scope: Literal["frame", "clip"] = Field("frame", description="one box a glance frame, or one a clip")


class TemporalPolicyConfig(Settings):
    """The branch of the policy that weighs the frames (section 4.2)."""

    channels: int = Field(64, ge=1)
    dynamic: bool = Field(True, description="off: focus frames are sampled uniformly (table 7)")


class ClassifierConfig(Settings):
    """f_C: accumulated max-pooling with one head a step, the average of per-frame predictions, or X3D's heads."""

    kind: Literal["max_pooling", "average", "pooled_mlp"] = Field(
        "max_pooling",
        description="average: for encoders that mix frames, one prediction a clip; pooled_mlp: X3D's head an "
        "encoder, on features averaged over the clip",
    )
    hidden: int = Field(4096, ge=1, description="width of the embeddings (not of average)")
    dropout: float = Field(0.2, ge=0, lt=1)
    reuse_global: bool = Field(True, description="off: e^G does not enter f_C (table 8)")


class ModelConfig(Settings):
    """The whole model: T0, T_G, T_L, P and its parts."""

    kind: Literal["uni_adafocus", "tsm_plus"] = Field(
        "uni_adafocus",
        description="tsm_plus: the baseline of table 4, both encoders on whole frames, no policy",
    )
    num_classes: int = Field(2, ge=2)
    frame_size: int = Field(224, ge=16, description="height and width of a frame, pixels")
    glance_size: int | None = Field(
        None, ge=16, description="f_G sees frames resized to this; none: frame_size"
    )
    frame_channels: Literal[1, 3] = Field(3, description="1: gray slices; 3: colour frames")
    gray_input: Literal["repeat", "average"] = Field(
        "repeat", description="gray frames: repeated to 3 channels, or the first convolution takes 1 channel"
    )
    streams: Literal["shared", "separate"] = Field(
        "shared",
        description="shared: the glance takes T_G of the T0 frames; separate: it is sampled on its own",
    )
    num_frames: int = Field(48, ge=1, description="T0")
    num_glance_frames: int = Field(16, ge=1, description="T_G")
    num_focus_frames: int = Field(16, ge=1, description="T_L")
    patch_size: int = Field(128, ge=16, description="P, pixels")
    global_encoder: EncoderConfig = EncoderConfig(name="mobilenet_v2")
    local_encoder: EncoderConfig = EncoderConfig(name="resnet50")
    patches: PatchConfig = PatchConfig()
    spatial_policy: SpatialPolicyConfig = SpatialPolicyConfig()
    temporal_policy: TemporalPolicyConfig = TemporalPolicyConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    auxiliary_dropout: float = Field(0.2, ge=0, lt=1)
    auxiliary_hidden: int | None = Field(
        None, ge=1, description="width of a hidden layer in FC_G and FC_L; none: they are linear"
    )

    @property
    def mixes_frames(self) -> bool:
        """Whether an encoder mixes the frames of a clip, so that only whole clips can be classified."""
        return self.global_encoder.mixes_frames or self.local_encoder.mixes_frames

    @property
    def classifies_clips(self) -> bool:
        """Whether f_C predicts once a clip instead of frame by frame."""
        return self.mixes_frames or self.kind == "tsm_plus" or self.classifier.kind == "pooled_mlp"

    @model_validator(mode="after")
    def _consistent(self) -> "ModelConfig":
        if self.streams == "shared" and self.num_frames % self.num_glance_frames:
            raise ValueError(
                f"num_glance_frames {self.num_glance_frames} does not divide num_frames {self.num_frames}; "
                "choose a divisor, or set streams to separate"
            )
        if self.num_focus_frames > self.num_frames:
            raise ValueError(f"num_focus_frames {self.num_focus_frames} exceeds num_frames {self.num_frames}")
        if self.kind != "tsm_plus" and self.patch_size > self.frame_size:
            raise ValueError(
                f"patch_size {self.patch_size} exceeds frame_size {self.frame_size}; patches are parts of the frame: "
                "choose a smaller one"
            )
        return self

    @model_validator(mode="after")
    def _one_prediction_a_clip(self) -> "ModelConfig":
        baseline, encoders = self.kind == "tsm_plus", (self.global_encoder, self.local_encoder)
        accepted = ("average",) if baseline else ("average", "pooled_mlp")
        if self.classifies_clips and self.classifier.kind not in accepted:
            shifted = any(encoder.temporal_shift for encoder in encoders)
            cause = "kind tsm_plus" if baseline else "temporal_shift" if shifted else "X3D"
            frame_by_frame = self.classifier.kind == "max_pooling"
            raise ValueError(
                f"classifier.kind {self.classifier.kind} predicts "
                + (f"frame by frame, {cause} a clip at a time" if frame_by_frame else f"twice, {cause} once")
                + f"; set classifier.kind to {' or '.join(accepted)}"
            )
        return self


def without_initial_weights(config: ModelConfig) -> ModelConfig:
    """Return the configuration with random encoders: where trained weights follow, none need be fetched."""
    bare = {"weights": None, "weights_sha256": None}
    return config.model_copy(
        update={
            "global_encoder": config.global_encoder.model_copy(update=bare),
            "local_encoder": config.local_encoder.model_copy(update=bare),
        }
    )

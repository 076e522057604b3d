"""One run, typed: data, preparation, augmentation, model and training."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from neurofocus.schema.base import Settings
from neurofocus.schema.early_exit import ExitConfig
from neurofocus.schema.model import ModelConfig
from neurofocus.schema.pretrain import PretrainConfig
from neurofocus.schema.video_run import VideoConfig

__all__ = [
    "AugmentConfig",
    "BundleConfig",
    "DataConfig",
    "LearningRates",
    "ObjectiveConfig",
    "PrepareConfig",
    "RunConfig",
    "TrainConfig",
]


class PrepareConfig(Settings):
    """How one scan becomes frames; the same for every scan of a run and for prediction."""

    bias_correction: bool = Field(True, description="N4 on native scans")
    registration: Literal["affine", "none"] = "affine"
    brain_mask: Literal["template", "deepbet", "none"] = "template"
    axis: Literal["coronal", "axial", "sagittal"] = "coronal"
    range_mm: tuple[float, float] = Field((-70.0, 40.0), description="MNI millimetres along the axis")
    slice_spacing_mm: float = Field(2.0, gt=0)
    pixel_mm: float = Field(1.0, gt=0)
    clip_percentiles: tuple[float, float] = (0.5, 99.5)

    @model_validator(mode="after")
    def _ordered(self) -> "PrepareConfig":
        if self.range_mm[0] >= self.range_mm[1]:
            raise ValueError(f"range_mm {self.range_mm} must be increasing, for example [-70, 40]")
        low, high = self.clip_percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"clip_percentiles {self.clip_percentiles} must be increasing within 0..100")
        return self


class AugmentConfig(Settings):
    """Training augmentation of one case, drawn once a case and epoch."""

    probability: float = Field(0.5, ge=0, le=1, description="of each of bias field, gamma and noise")
    rotate_degrees: float = Field(5.0, ge=0, le=45)
    translate_mm: float = Field(4.0, ge=0)
    scale_fraction: float = Field(0.05, ge=0, lt=1)
    bias_field: float = Field(0.15, ge=0)
    gamma: tuple[float, float] = (0.8, 1.25)
    noise_sd: float = Field(0.05, ge=0, description="in units of the in-mask standard deviation")
    flip_left_right: bool = False


class DataConfig(Settings):
    """Folds and loading."""

    folds: int = Field(5, ge=2, description="follows from the sites with leave_site_out, and from splits")
    scheme: Literal["kfold", "leave_site_out"] = Field(
        "kfold", description="kfold: people dealt by label; leave_site_out: every fold tests other sites"
    )
    min_site_people: int = Field(
        5,
        ge=1,
        description="leave_site_out: of each class, for a fold of a site's own; smaller sites share one",
    )
    exclude: str | None = Field(
        None, description="table of scans left out by hand (--exclude); kept as a digest"
    )
    splits: str | None = Field(
        None, description="folder of ClinicaDL's k-fold tables, used instead of folds of our own"
    )
    validation_fraction: float = Field(0.25, gt=0, lt=1, description="of each training part, by subject")
    num_workers: int = Field(0, ge=0)
    prepare_jobs: int = Field(2, ge=1, description="scans prepared at a time")

    @model_validator(mode="after")
    def _one_source_of_folds(self) -> "DataConfig":
        if self.splits is not None and self.scheme != "kfold":
            raise ValueError(
                f"splits (--splits) and scheme {self.scheme} both decide the folds; give one of them"
            )
        return self


class LearningRates(Settings):
    """Peak learning rates a parameter group (appendix H.3)."""

    global_encoder: float = Field(0.001, gt=0)
    local_encoder: float = Field(0.002, gt=0)
    classifier: float = Field(0.04, gt=0)
    policy: float = Field(0.0004, gt=0)


class ObjectiveConfig(Settings):
    """Which terms of Eq. 22 are on (tables 6 and 7 switch them off)."""

    profile: Literal["paper", "released"] = Field(
        "paper", description="the equations as printed, or what the released training code computes"
    )
    auxiliary: bool = Field(True, description="Eq. 11")
    diversity: bool = Field(True, description="Eq. 12")
    stop_gradient: bool = Field(True, description="no gradient from the policy into f_G")
    policy_gradient: Literal["features", "pixels"] = Field("features", description="Eq. 14, or Eq. 8")
    size_weight: float = Field(1.0, ge=0, description="alpha of Eq. 15, sizes as fractions of the free range")
    num_mc_samples: int = Field(128, ge=1, description="M of Eq. 19")
    label_smoothing: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _released_is_fixed(self) -> "ObjectiveConfig":
        switches = (self.auxiliary, self.diversity, self.stop_gradient, self.policy_gradient == "features")
        if self.profile == "released" and not all(switches):
            raise ValueError(
                "profile released goes with auxiliary, diversity and stop_gradient true and policy_gradient "
                "features, as in the released code; take out what differs, or set profile to paper"
            )
        return self


class TrainConfig(Settings):
    """Optimisation of one fold."""

    epochs: int = Field(50, ge=1)
    batch_size: int = Field(32, ge=2, description="of all processes; batch normalisation needs two")
    reference_batch_size: int | None = Field(
        None,
        ge=1,
        description="the batch that learning_rates are meant for; another batch_size scales them in proportion",
    )
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rates: LearningRates = LearningRates()
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(2e-4, ge=0)
    warmup_epochs: int = Field(0, ge=0)
    grad_clip: float | None = Field(None, gt=0, description="largest global gradient norm")
    amp: Literal["off", "bf16", "fp16"] = "off"
    memory: Literal["plain", "saving"] = Field(
        "plain",
        description="saving: encoders compute channels last and parts of them twice; same losses up to rounding",
    )
    ema_decay: float | None = Field(None, gt=0, lt=1)
    keep: Literal["best", "last"] = Field(
        "best", description="best: the epoch with the smallest validation loss; last: the last epoch"
    )
    patience: int | None = Field(None, ge=1, description="epochs without a better validation loss")
    class_balanced: bool = Field(True, description="weigh the loss by inverse class frequency")
    deterministic: bool = True
    tensorboard: bool = Field(True, description="write scalars for TensorBoard beside the checkpoints")
    objective: ObjectiveConfig = ObjectiveConfig()

    @model_validator(mode="after")
    def _patience_needs_best(self) -> "TrainConfig":
        if self.patience is not None and self.keep == "last":
            raise ValueError(
                "patience ends a training by its validation loss; leave it out or set keep to best"
            )
        return self

    @field_validator("amp", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML reads a bare off as false


class BundleConfig(Settings):
    """How the models of a run are packed for prediction."""

    weights: Literal["float32", "float16"] = Field(
        "float32", description="float16 halves the matrices; norms and statistics stay float32"
    )


class RunConfig(Settings):
    """Everything that decides a run's numbers."""

    cohort: str | None = Field(None, description="a shipped cohort's name or a cohort YAML file")
    dataset: str | None = Field(None, description="a shipped video data set's name, or its YAML file")
    seed: int = Field(0, ge=0, lt=2**32)
    threads: int | None = Field(None, ge=1, description="CPU threads of torch a fold; none: all cores")
    parallel_folds: int = Field(1, ge=1, description="folds trained at a time; they share cores and memory")
    tuned: str | None = Field(
        None, description="folder of neurofocus tune, whose settings each fold uses; kept as a digest"
    )
    data: DataConfig = DataConfig()
    prepare: PrepareConfig = PrepareConfig()
    augment: AugmentConfig = AugmentConfig()
    video: VideoConfig = VideoConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    pretrain: PretrainConfig | None = Field(
        None, description="encoders learn on stills first; for the embedded digits, which have stills"
    )
    exit: ExitConfig = ExitConfig()
    bundle: BundleConfig = BundleConfig()

    @model_validator(mode="after")
    def _video_fits_model(self) -> "RunConfig":
        side, short = self.model.frame_size, self.video.short_side
        if short is not None and short < side:
            raise ValueError(
                f"video.short_side {short} is less than model.frame_size {side}; give at least that"
            )
        largest = max((label for pair in self.video.flip_labels for label in pair), default=0)
        if largest >= self.model.num_classes:
            raise ValueError(
                f"video.flip_labels names class {largest}; model.num_classes is {self.model.num_classes}"
            )
        return self

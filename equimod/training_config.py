"""How long, how fast and on what a run trains, as run documents say it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from augspec import DocumentModel, fault
from equimod.clipping import ClipConfig
from equimod.optim import OptimizerConfig
from equimod.schedule import learning_rate


class TrainingConfig(DocumentModel):
    """How long, how fast and on what."""

    epochs: int = Field(ge=0)
    """How often every image is seen; 0 evaluates the encoder as it was initialised."""
    batch_size: int = Field(ge=2)
    """Images in a step, over all devices together."""
    optimizer: OptimizerConfig
    """The optimiser; its `lr` is the highest rate."""
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Epochs of linear warm-up, before the cosine."""
    final_lr: float = Field(default=0.0, ge=0)
    """Where the cosine ends."""
    cosine_by: Literal["step", "epoch"] = "step"
    """Whether the cosine falls with each `step`, or stays throughout an `epoch` at the rate of its
    first step, as in SimSiam's code (arXiv 2011.10566)."""
    clip_gradients: ClipConfig | None = None
    """How gradients are clipped; null for not at all."""
    precision: Literal["32", "bf16"] = "32"
    """`bf16`: matrix products and convolutions in bfloat16; losses and views stay float32."""
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a GPU where there is one."""
    devices: int = Field(default=1, ge=1)
    """Processes on this machine, one for each GPU; a launcher such as torchrun has its own say."""
    nodes: int = Field(default=1, ge=1)
    """Machines; more than one needs a launcher, which has its own say here, too."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """What processes share: `ddp` the batch; `fsdp` also the weights, gradients and the optimiser's
    state, for models that are large beside a GPU's memory. Changes nothing but rounding."""
    sync_batch_norm: bool = True
    """Batch statistics over all processes, so that their number changes nothing but rounding."""
    workers: int = Field(default=0, ge=0)
    """Threads that read images; 0 reads in the main thread."""
    on_corrupt: Literal["skip", "raise"] = "skip"
    """Whether a corrupt image costs that image or ends the run."""
    checkpoint_minutes: float = Field(default=5.0, ge=0)
    """Minutes between checkpoints; one is also written at the end and on an interruption."""
    keep_every: int = Field(default=0, ge=0)
    """Epochs after which a checkpoint stays for good, as `epoch-00020`; 0 keeps only the last."""
    keep_best: bool = True
    """Whether the checkpoint with the best k-NN accuracy stays, as `best`; `evaluate_every` says
    how often it is measured, on the first kind of label."""
    log_every: int = Field(default=10, ge=1)
    """Steps between lines of `metrics.jsonl`."""
    evaluate_every: int = Field(default=0, ge=0)
    """Epochs between k-NN evaluations during training; 0 for none before the end."""

    @model_validator(mode="after")
    def _warmup_fits(self) -> TrainingConfig:
        if self.epochs and self.warmup_epochs > self.epochs:
            message = f"must be <= epochs ({self.epochs}), got {self.warmup_epochs:g}"
            raise fault(message, "warmup_epochs")
        return self

    def rate_at(self, step: int, epoch_steps: int) -> float:
        """The learning rate in a step.

        Args:
            step: counted from 0.
            epoch_steps: the number of steps of an epoch.
        """
        total = self.epochs * epoch_steps
        warmup = min(self.warmup_steps(epoch_steps), total)  # without epochs, too
        if self.cosine_by == "epoch" and step > warmup:
            step = max(warmup, step - step % epoch_steps)
        return learning_rate(step, total, warmup, self.optimizer.lr, self.final_lr)

    def warmup_steps(self, epoch_steps: int) -> int:
        """The number of steps of the learning rate's warm-up."""
        return round(self.warmup_epochs * epoch_steps)

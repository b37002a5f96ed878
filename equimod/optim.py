"""Optimisers, which let biases and batch norms be: neither decay nor, under LARS, adaptation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn
from torch.nn import Parameter
from torch.optim import SGD, AdamW, Optimizer

from augspec import DocumentModel
from equimod.lars import LARS

FIXED = "fixed_rate"
"""The key of groups of parameters whose learning rate does not follow the schedule."""


class LARSConfig(DocumentModel):
    """LARS, the optimiser of SimCLR, BYOL and EquiMod (You et al., arXiv 1708.03888)."""

    name: Literal["lars"] = "lars"

    lr: float = Field(default=4.0, gt=0)
    """Highest learning rate; on CIFAR-10 at batch 512, 4.0 for SimCLR and 2.0 for BYOL."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum."""
    weight_decay: float = Field(default=1e-6, ge=0)
    """Weight decay, added to the gradient; not of biases and batch norms."""
    trust_coefficient: float = Field(default=0.001, gt=0)
    """Step length relative to the norm of each weight tensor, at learning rate 1."""

    def build(self, module: nn.Module, fixed: Iterable[Parameter] = ()) -> LARS:
        """The optimiser of the module's trainable parameters; biases and batch norms take SGD.

        Args:
            module: what is optimised.
            fixed: those of its parameters whose learning rate stays at `lr`.
        """
        return LARS(
            _groups(module, fixed, self.weight_decay, {"weight_decay": 0.0, "adapt": False}),
            lr=self.lr,
            momentum=self.momentum,
            trust_coefficient=self.trust_coefficient,
        )


class SGDConfig(DocumentModel):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"

    lr: float = Field(default=0.1, gt=0)
    """Highest learning rate."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum."""
    weight_decay: float = Field(default=5e-4, ge=0)
    """Weight decay, added to the gradient."""
    decay_biases: bool = False
    """Whether biases and batch norms decay, too, as they do in torch unless kept from it."""
    nesterov: bool = False
    """Nesterov's momentum."""

    def build(self, module: nn.Module, fixed: Iterable[Parameter] = ()) -> SGD:
        """The optimiser of the module's trainable parameters.

        Args:
            module: what is optimised.
            fixed: those of its parameters whose learning rate stays at `lr`.
        """
        return SGD(
            _groups(module, fixed, self.weight_decay, _bias_decay(self)),
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
        )


class AdamWConfig(DocumentModel):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"] = "adamw"

    lr: float = Field(default=1e-3, gt=0)
    """Highest learning rate."""
    weight_decay: float = Field(default=1e-2, ge=0)
    """Decoupled weight decay, times the learning rate."""
    decay_biases: bool = False
    """Whether biases and batch norms decay, too, as they do in torch unless kept from it."""

    def build(self, module: nn.Module, fixed: Iterable[Parameter] = ()) -> AdamW:
        """The optimiser of the module's trainable parameters.

        Args:
            module: what is optimised.
            fixed: those of its parameters whose learning rate stays at `lr`.
        """
        return AdamW(_groups(module, fixed, self.weight_decay, _bias_decay(self)), lr=self.lr)


OptimizerConfig = Annotated[LARSConfig | SGDConfig | AdamWConfig, Field(discriminator="name")]


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Sets the learning rate of all parameters but those whose rate is fixed."""
    for group in optimizer.param_groups:
        if not group.get(FIXED):
            group["lr"] = rate


def _bias_decay(config: SGDConfig | AdamWConfig) -> dict[str, Any]:
    return {"weight_decay": config.weight_decay if config.decay_biases else 0.0}


def _groups(
    module: nn.Module, fixed: Iterable[Parameter], weight_decay: float, biases: dict[str, Any]
) -> list[dict[str, Any]]:
    """Weights, and biases, scales and shifts (one dimension); then those of a fixed rate, likewise.

    Args:
        module: what is optimised.
        fixed: parameters whose rate is fixed.
        weight_decay: of weights.
        biases: the settings of the others.

    Raises:
        ValueError: if no parameter is trainable.
    """
    parameters: list[Parameter] = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(f"{type(module).__name__} has no trainable parameter to optimise")
    apart = set(fixed)

    def split(chosen: list[Parameter]) -> list[dict[str, Any]]:
        return [
            {"params": [p for p in chosen if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in chosen if p.ndim <= 1]} | biases,
        ]

    groups = split([p for p in parameters if p not in apart])
    if apart:
        groups += [group | {FIXED: True} for group in split([p for p in parameters if p in apart])]
    return groups

"""Optimisers, with weight decay and LARS's adaptation kept from biases and batch norms."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn
from torch.nn import Parameter
from torch.optim import SGD, AdamW

from augspec import DocumentModel
from equimod.lars import LARS


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

    def build(self, module: nn.Module) -> LARS:
        """The optimiser of the module's trainable parameters; biases and batch norms take SGD."""
        return LARS(
            _groups(module, self.weight_decay, {"adapt": False}),
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
    """Weight decay, added to the gradient; not of biases and batch norms."""
    nesterov: bool = False
    """Nesterov's momentum."""

    def build(self, module: nn.Module) -> SGD:
        """The optimiser of the module's trainable parameters."""
        return SGD(
            _groups(module, self.weight_decay),
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
    """Decoupled weight decay, times the learning rate; not of biases and batch norms."""

    def build(self, module: nn.Module) -> AdamW:
        """The optimiser of the module's trainable parameters."""
        return AdamW(_groups(module, self.weight_decay), lr=self.lr)


OptimizerConfig = Annotated[LARSConfig | SGDConfig | AdamWConfig, Field(discriminator="name")]


def _groups(
    module: nn.Module, weight_decay: float, undecayed: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Decayed and undecayed parameters, the latter being biases, scales and shifts (one dimension).

    Raises:
        ValueError: if no parameter is trainable.
    """
    parameters: list[Parameter] = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(f"{type(module).__name__} has no trainable parameter to optimise")
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0} | (undecayed or {}),
    ]

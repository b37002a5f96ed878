"""LARS as large-batch self-supervised learning was published with it.

Layer-wise adaptive rate scaling (You et al., arXiv 1708.03888, Algorithm 1). timm's `Lars` differs
in two places that change published numbers: it keeps the learning rate out of the momentum buffer,
which is another update whenever the rate changes, and divides by the sum of the norms of gradient
and decay instead of by the norm of their sum. EquiMod's released code does as here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class LARS(Optimizer):
    """Momentum SGD whose step is proportional, per tensor, to the norm of the weights.

    With gradient g, weights w, momentum buffer v, learning rate lr and trust coefficient c:

        d = g + weight_decay * w
        v = momentum * v + lr * (c * |w| / |d|) * d
        w = w - v

    The trust ratio `c * |w| / |d|` is 1 where either norm is 0, and in every group whose `adapt` is
    false, which thereby takes plain momentum SGD steps.

    Args:
        params: parameters, or groups of them; a group may set `lr`, `weight_decay` and `adapt`.
        lr: learning rate.
        momentum: momentum.
        weight_decay: weight decay, added to the gradient.
        trust_coefficient: c.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "adapt": True,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Takes one step; parameters without a gradient stay.

        Args:
            closure: computes the loss anew and returns it.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._step_group(params, group)
        return loss

    def _step_group(self, params: list[Tensor], group: dict[str, Any]) -> None:
        grads = [p.grad for p in params if p.grad is not None]
        updates = list(torch._foreach_add(grads, params, alpha=group["weight_decay"]))
        if group["adapt"]:
            torch._foreach_mul_(updates, self._trust_ratios(params, updates, group))
        torch._foreach_mul_(updates, group["lr"])
        for p in params:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        buffers = [self.state[p]["momentum_buffer"] for p in params]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, updates)
        torch._foreach_sub_(params, buffers)

    @staticmethod
    def _trust_ratios(
        params: list[Tensor], updates: list[Tensor], group: dict[str, Any]
    ) -> list[Tensor]:
        weight_norms = torch.stack(torch._foreach_norm(params))
        update_norms = torch.stack(torch._foreach_norm(updates))
        ratios = group["trust_coefficient"] * weight_norms / update_norms
        # a choice on the device: a Python `if` would wait for the GPU once per tensor
        return list(torch.where((weight_norms > 0) & (update_norms > 0), ratios, 1.0).unbind())

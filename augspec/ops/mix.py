"""A weighted mean of the image and of several renderings of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from augspec.language.values import Uniform, Value
from augspec.language.within import Within
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Parameter, Parameters

if TYPE_CHECKING:
    from torch import Tensor


class Mix(Combinator):
    """Blend the image with several renderings of it: the mixing step of AugMix.

    Each op makes a rendering of the same incoming image. With a strength m and weights w that are
    uniform on the simplex (a Dirichlet distribution of concentration 1), the result is
    `(1 - m) x + m sum_k w_k op_k(x)` (Hendrycks et al., ICLR 2020, arXiv 1912.02781, algorithm 1).
    """

    op: Literal["mix"] = "mix"

    strength: Annotated[Value, Within(0.0, 1.0)] = Uniform(0.0, 1.0)
    """The part m of the renderings in the mean; AugMix draws it uniformly on [0, 1]."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {
            "strength": [0.2, 0.9],
            "ops": [
                {"op": "horizontal_flip", "p": 0.5},
                {"op": "gaussian_blur", "kernel": 3, "sigma": [0.5, 1.5]},
            ],
        },
        {"strength": 1, "ops": [{"op": "color_jitter", "brightness": 0.5, "p": 0.5}]},
    )

    @property
    def choices(self) -> int:
        """See `Combinator.choices`: the strength, and a weight for each op."""
        return len(self.ops) + 1 if self.ops else 0

    @property
    def can_act(self) -> bool:
        """See `Op.can_act`."""
        return self.strength.high > 0 and super().can_act

    def own_parameters(self) -> tuple[Parameter, ...]:
        """The weight of each rendering in the mean; what they lack to 1 is the image's own."""
        high = self.strength.high
        return tuple(
            Parameter(f"weight_{k}", "share of the mean", 0.0, 0.0, high)
            for k in range(1, len(self.ops) + 1)
        )

    def decide(self, u: Tensor) -> tuple[dict[str, Tensor], list[Tensor] | None]:
        """See `Combinator.decide`: exponential variates over their sum are uniform weights."""
        raw = -u[:, 1:].log()
        weights = self.strength.sample(u[:, :1]) * raw / raw.sum(dim=-1, keepdim=True)
        return {f"weight_{k}": w for k, w in enumerate(weights.unbind(-1), start=1)}, None

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """See `Op.canonical`: no weight without a change, and no change without a weight."""
        import torch

        found = super().canonical(params)
        acting = self.acting(found)
        for k, (name, op, own) in enumerate(self.parts(found), start=1):
            weight = found[f"weight_{k}"]
            left = op.gated(own, weight != 0)
            found[f"weight_{k}"] = torch.where(acting[k - 1], weight, 0.0)
            found |= {f"{name}.{key}": value for key, value in left.items()}
        return found

    def acting(self, params: Parameters) -> list[Tensor]:
        """See `Combinator.acting`."""
        acting = super().acting(params)
        return [on & (params[f"weight_{k}"] != 0) for k, on in enumerate(acting, start=1)]

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.rows import per_sample

        mean = x
        for k, (_, op, own) in enumerate(self.parts(params), start=1):
            mean = mean + per_sample(params[f"weight_{k}"], x) * (op.apply(x, own) - x)
        return mean

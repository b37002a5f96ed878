"""A weighted mean of the image and of several renderings of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from augspec.encoding.codecs import Motion
from augspec.language.values import Uniform, Value
from augspec.language.within import Within
from augspec.ops.combinator import Combinator, Odds
from augspec.ops.contract import Move, Op, Parameters, Size
from augspec.ops.parameter import Parameter
from augspec.ops.twins import look_up, unmoved

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
            Parameter(f"weight_{k}", "share of the mean", 0.0, 0.0, high, possible=(0.0, 1.0))
            for k in range(1, len(self.ops) + 1)
        )

    limits: ClassVar[str | None] = "the weights must sum to at most 1"

    def nearest(self, params: Parameters) -> dict[str, Tensor]:
        """See `Op.nearest`: the same part of the excess is taken from each weight that stays."""
        import torch

        found = super().nearest(params)
        names = [p.name for p in self.own_parameters()]
        if not names:
            return found
        weights = torch.stack([params[name] for name in names], dim=-1).clamp_min(0.0)
        over = weights.sum(dim=-1, keepdim=True) > 1
        weights = torch.where(over, _onto_simplex(weights), weights)
        return found | dict(zip(names, weights.unbind(-1), strict=True))

    def odds(self) -> Odds | None:
        """See `Combinator.odds`: weights and branches depend on one another."""
        return None

    def motions(self) -> dict[str, Motion]:
        """See `Op.motions`: both the weights and the renderings go there from the identity.

        A rendering that still shows the image alone has no weight, so that the weight of one with a
        jump may jump with it.
        """
        found = super().motions()
        for k, (_, op) in enumerate(self.children, start=1):
            if "jumps" in op.motions().values():
                found[f"weight_{k}"] = "follows"
        return found

    @property
    def in_order(self) -> bool:
        """See `Combinator.in_order`."""
        return False

    @property
    def geometric(self) -> bool:  # type: ignore[override]
        """See `Op.geometric`: it shows several images in one."""
        return False

    @property
    def bends(self) -> bool:
        """See `Op.bends`: whether a rendering that is mixed in is displaced."""
        return any(op.geometric or op.bends for _, op in self.leaves())

    def moves(self, params: Parameters, size: Size, batch: int = 1) -> list[Move]:
        """See `Op.moves`."""
        return []

    def decide(self, u: Tensor) -> tuple[dict[str, Tensor], list[Tensor] | None]:
        """See `Combinator.decide`: exponential variates over their sum are uniform weights."""
        raw = -u[:, 1:].log()
        weights = self.strength.sample(u[:, :1]) * raw / raw.sum(dim=-1, keepdim=True)
        return {f"weight_{k}": w for k, w in enumerate(weights.unbind(-1), start=1)}, None

    def reduced(self, params: Parameters) -> dict[str, Tensor]:
        """See `Combinator.reduced`: no weight without a change, and no change without a weight."""
        import torch

        found = super().reduced(params)
        acting = self.acting(found)
        for k, (name, op, own) in enumerate(self.parts(found), start=1):
            weight = found[f"weight_{k}"]
            left = op.gated(own, weight != 0)
            found[f"weight_{k}"] = torch.where(acting[k - 1], weight, 0.0)
            found |= {f"{name}.{key}": value for key, value in left.items()}
        return found

    def exchanged(self, params: Parameters) -> dict[str, Tensor]:
        """See `Combinator.exchanged`: of twins the heaviest first, and equal renderings as one."""
        import torch

        found, parts = dict(params), list(self.parts(params))
        place = unmoved(len(parts), params["weight_1"])
        for group in self.twins:
            codes = [parts[k][1].encode_canonical(parts[k][2]).detach().float() for k in group]
            keys = torch.stack(codes, dim=1)
            weights = torch.stack([params[f"weight_{k + 1}"] for k in group], dim=-1)
            equal = (keys[:, :, None] == keys[:, None]).all(dim=-1)
            equal = equal & ~torch.stack([_noisy(*parts[k][1:]) for k in group], dim=-1)[:, None]
            # summed in an order that does not depend on the names
            weights = _summed(weights, _heaviest_first(weights, keys), equal)
            order = _heaviest_first(weights, keys)
            for number, weight in enumerate(weights.gather(-1, order).unbind(-1)):
                found[f"weight_{group[number] + 1}"] = weight
                place[group[number]] = look_up(order[:, number], group)
        found = self.renamed(found, place)
        for k, (name, op, own) in enumerate(self.parts(found), start=1):
            left = op.gated(own, found[f"weight_{k}"] != 0)
            found |= {f"{name}.{key}": value for key, value in left.items()}
        return found

    @cached_property
    def rendered(self) -> Sequence[tuple[str, Op, bool]]:
        """See `Op.rendered`."""
        inside = ((f"{name}.", op) for name, op in self.children)
        return [(at + prefix, leaf, True) for at, op in inside for prefix, leaf, _ in op.rendered]

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


def _onto_simplex(weights: Tensor) -> Tensor:
    """The nearest weights `(B, n)` that are not negative and sum to 1.

    Held, Wolfe and Crowder, "Validation of subgradient optimization", 1974: a common amount is
    taken from all weights, and those that it would make negative are 0.
    """
    import torch

    sorted_ = weights.sort(dim=-1, descending=True).values
    count = torch.arange(1, weights.shape[-1] + 1, device=weights.device)
    amount = (sorted_.cumsum(dim=-1) - 1) / count
    staying = (sorted_ > amount).sum(dim=-1, keepdim=True).clamp_min(1)
    return (weights - amount.gather(-1, staying - 1)).clamp_min(0.0)


def _noisy(op: Op, params: Parameters) -> Tensor:
    """Where a rendering has noise: what looks alike in a code is then not the same."""
    import torch

    found = torch.zeros_like(next(iter(params.values())), dtype=torch.bool)
    for prefix, leaf, _ in op.rendered:
        if leaf.seeds:
            own = {p.name: params[prefix + p.name] for p in leaf.parameters()}
            found = found | leaf.active(own)
    return found


def _heaviest_first(weights: Tensor, keys: Tensor) -> Tensor:
    """The order `(B, n)` of renderings by weight, as a code carries it, equals by their keys."""
    import torch

    from augspec.kernels.orders import lexicographic_rank

    heaviest = -weights.detach().float()[..., None]
    return lexicographic_rank(torch.cat([heaviest, keys], dim=-1)).argsort(dim=-1, stable=True)


def _summed(weights: Tensor, order: Tensor, equal: Tensor) -> Tensor:
    """The weights `(B, n)` with the sum of equals, `(B, n, n)` bool, at the first in order."""
    import torch

    equal = equal | torch.eye(equal.shape[-1], dtype=torch.bool, device=equal.device)
    ranked = equal.gather(1, order[:, :, None].expand_as(equal))
    first = ranked.int().argmax(dim=1)  # for each rendering, the place of the first equal one
    here = order.argsort(dim=-1) == first
    theirs = torch.where(ranked, weights.gather(-1, order)[:, :, None], 0.0).sum(dim=1)
    return torch.where(here, theirs, 0.0)

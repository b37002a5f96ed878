"""One parameter of an op: what it is, what it is drawn from, and how it is encoded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from augspec.encoding.codecs import Codec, Linear, Order, Uncoded

if TYPE_CHECKING:
    from torch import Tensor

    from augspec.kernels.quadrature import Quadrature
    from augspec.language.values import Value

NOT_NEGATIVE = (0.0, math.inf)
"""`Parameter.possible` of a factor, a spread, a length."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of an op.

    Attributes:
        name: its name, unique within the op.
        unit: its unit, in words.
        identity: the value at which it changes nothing.
        low: the smallest value that an ungated draw can give; None if the image's size decides.
        high: the largest one.
        codec: how it is encoded.
        differentiable: whether a gradient reaches it from the view.
        value: what an ungated draw is drawn from, where that is one value of the op's fields and
            independent of its other parameters; None where it is not. Moments come from it.
        convert: maps draws of `value` to the parameter, such as degrees to turns; None where they
            are the parameter.
        possible: the bounds outside which the parameter means nothing, whatever a spec says: a
            negative factor, say. `low` and `high` lie inside.
    """

    name: str
    unit: str
    identity: float
    low: float | None
    high: float | None
    codec: Codec = field(default_factory=Linear)
    differentiable: bool = True
    value: Value | None = field(default=None, compare=False)
    convert: Callable[[Tensor], Tensor] | None = field(default=None, compare=False)
    possible: tuple[float, float] = (-math.inf, math.inf)

    def rules(self) -> list[Quadrature | None]:
        """Points and weights of an ungated draw's distribution, coarse and fine."""
        rules = [self.value.rule(count) if self.value else None for count in (32, 64)]
        if self.convert is None:
            return rules
        return [rule and (self.convert(rule[0]), rule[1]) for rule in rules]

    @property
    def acts(self) -> bool:
        """Whether a draw can differ from the identity, and so change an image by itself."""
        if isinstance(self.codec, Order | Uncoded):
            return False
        return (self.low, self.high) != (self.identity, self.identity)


def gated_range(low: float, high: float, identity: float, p: float) -> tuple[float, float]:
    """The range of a parameter whose draws lie in [low, high] where a gate of `p` lets them act."""
    if p == 0:
        return identity, identity
    return (low, high) if p == 1 else (min(low, identity), max(high, identity))

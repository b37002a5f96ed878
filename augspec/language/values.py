"""Values: what a field of an op may be drawn from.

A constant, `[low, high]` (uniform), `{log_uniform: [a, b]}`, `{normal: {mean, std, low, high}}`,
`{beta: {alpha, beta, low, high}}`, `{choice: [...], weights: [...]}` or
`{linspace: [low, high, num]}`. Each turns one uniform number into one draw through its inverse
cumulative distribution, so that a draw is a pure function of the counter-based generator's output.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from augspec.kernels.quadrature import Quadrature

POINTS = 64
"""How many points the rules of continuous distributions have."""

MOST_POINTS = 4096
"""How many numbers a discrete distribution may have that is written out."""


class Value(ABC):
    """A distribution over the real numbers, bounded by `low` and `high`."""

    low: float
    high: float

    @abstractmethod
    def sample(self, u: Tensor) -> Tensor:
        """Maps uniforms in (0, 1), any shape, to draws of the same shape (inverse CDF)."""

    @abstractmethod
    def rule(self, count: int = POINTS) -> Quadrature | None:
        """Points and weights `(N,)` float64: weighted sums over them are means over draws.

        Args:
            count: how many points, an even number; a discrete distribution has its own.

        Returns:
            None where there is no good rule.
        """

    def can_be(self, number: float) -> bool:
        """Whether a draw is exactly this number with a probability above zero."""
        return self.low == self.high == number

    @abstractmethod
    def document(self) -> Any:
        """The form in which a person writes this value in a spec."""


@dataclass(frozen=True)
class Constant(Value):
    """Always `value`."""

    value: float

    @property
    def low(self) -> float:  # type: ignore[override]
        """The value itself."""
        return self.value

    @property
    def high(self) -> float:  # type: ignore[override]
        """The value itself."""
        return self.value

    def sample(self, u: Tensor) -> Tensor:
        """See `Value.sample`."""
        import torch

        return torch.full_like(u, self.value)

    def rule(self, count: int = POINTS) -> Quadrature | None:
        """See `Value.rule`."""
        from augspec.kernels import quadrature

        return quadrature.finite((self.value,))

    def document(self) -> Any:
        """See `Value.document`."""
        return self.value


@dataclass(frozen=True)
class Uniform(Value):
    """Uniform on [low, high]."""

    low: float
    high: float

    def sample(self, u: Tensor) -> Tensor:
        """See `Value.sample`; clamped, because rounding may step over the upper end."""
        return (self.low + (self.high - self.low) * u).clamp(self.low, self.high)

    def rule(self, count: int = POINTS) -> Quadrature | None:
        """See `Value.rule`."""
        from augspec.kernels import quadrature

        if self.low == self.high:
            return quadrature.finite((self.low,))
        return quadrature.uniform(self.low, self.high, count)

    def document(self) -> Any:
        """See `Value.document`."""
        return [self.low, self.high]


@dataclass(frozen=True)
class LogUniform(Value):
    """Uniform in the logarithm on [low, high], low > 0: as torchvision draws aspect ratios."""

    low: float
    high: float

    def sample(self, u: Tensor) -> Tensor:
        """See `Value.sample`; clamped, because exp(log(x)) may step over either end."""
        a, b = math.log(self.low), math.log(self.high)
        return (a + (b - a) * u).exp().clamp(self.low, self.high)

    def rule(self, count: int = POINTS) -> Quadrature | None:
        """See `Value.rule`."""
        from augspec.kernels import quadrature

        if self.low == self.high:
            return quadrature.finite((self.low,))
        return quadrature.log_uniform(self.low, self.high, count)

    def document(self) -> Any:
        """See `Value.document`."""
        return {"log_uniform": [self.low, self.high]}


@dataclass(frozen=True)
class Normal(Value):
    """Normal with this mean and standard deviation, truncated to [low, high]."""

    mean: float
    std: float
    low: float
    high: float

    def sample(self, u: Tensor) -> Tensor:
        """See `Value.sample`."""
        import torch

        if self.low > self.mean:  # the mirrored lower tail keeps the precision the upper one loses
            return -Normal(-self.mean, self.std, -self.high, -self.low).sample(1 - u)
        bounds = torch.tensor([self.low, self.high], dtype=torch.float64, device=u.device)
        a, b = torch.special.ndtr((bounds - self.mean) / self.std)
        return (self.mean + self.std * torch.special.ndtri(a + (b - a) * u)).clamp(
            self.low, self.high
        )

    def rule(self, count: int = POINTS) -> Quadrature | None:
        """See `Value.rule`."""
        from augspec.kernels import quadrature

        return quadrature.normal(self.mean, self.std, self.low, self.high, count)

    def document(self) -> Any:
        """See `Value.document`."""
        return {"normal": {"mean": self.mean, "std": self.std, "low": self.low, "high": self.high}}


@dataclass(frozen=True)
class Beta(Value):
    """Beta with these two shapes, stretched from [0, 1] to [low, high]; mixup draws such shares."""

    alpha: float
    beta: float
    low: float = 0.0
    high: float = 1.0

    def sample(self, u: Tensor) -> Tensor:
        """See `Value.sample`."""
        from augspec.kernels.beta import beta_quantile

        share = beta_quantile(u, self.alpha, self.beta)
        return (self.low + (self.high - self.low) * share).clamp(self.low, self.high)

    def rule(self, count: int = POINTS) -> Quadrature | None:
        """See `Value.rule`."""
        from augspec.kernels import quadrature

        points, weights = quadrature.beta(self.alpha, self.beta, count)
        return self.low + (self.high - self.low) * points, weights

    def document(self) -> Any:
        """See `Value.document`."""
        shapes = {"alpha": self.alpha, "beta": self.beta}
        if (self.low, self.high) == (0.0, 1.0):
            return {"beta": shapes}
        return {"beta": {**shapes, "low": self.low, "high": self.high}}


@dataclass(frozen=True)
class Linspace(Value):
    """One of `num` evenly spaced numbers from `low` to `high`, both included, equally likely.

    As RandAugment and TrivialAugment draw how strongly to augment.
    """

    low: float
    high: float
    num: int

    def sample(self, u: Tensor) -> Tensor:
        """See `Value.sample`; clamped, because rounding may step over the upper end."""
        steps = (u * self.num).floor().clamp(0, self.num - 1)
        return (self.low + (self.high - self.low) * (steps / (self.num - 1))).clamp(
            self.low, self.high
        )

    def rule(self, count: int = POINTS) -> Quadrature | None:
        """See `Value.rule`."""
        from augspec.kernels import quadrature

        return quadrature.finite(self.steps) if self.num <= MOST_POINTS else None

    @property
    def steps(self) -> tuple[float, ...]:
        """The numbers."""
        return tuple(self._step(k) for k in range(self.num))

    def can_be(self, number: float) -> bool:
        """See `Value.can_be`."""
        if self.low == self.high:
            return number == self.low
        last = self.num - 1
        k = round((number - self.low) / (self.high - self.low) * last)
        return self._step(min(max(k, 0), last)) == number

    def _step(self, k: int) -> float:
        return self.low + (self.high - self.low) * (k / (self.num - 1))

    def document(self) -> Any:
        """See `Value.document`."""
        return {"linspace": [self.low, self.high, self.num]}


@dataclass(frozen=True)
class Choice(Value):
    """One of a few numbers, with weights (equal if not given; they need not sum to one)."""

    choice: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def low(self) -> float:  # type: ignore[override]
        """The smallest choice."""
        return min(self.choice)

    @property
    def high(self) -> float:  # type: ignore[override]
        """The largest choice."""
        return max(self.choice)

    def sample(self, u: Tensor) -> Tensor:
        """See `Value.sample`."""
        import torch

        from augspec.kernels.tracing import tracing

        tables = _choice_tables if tracing() else _kept_choice_tables
        options, steps = tables(self, u.device)
        return options[torch.searchsorted(steps, u.contiguous(), right=True)]

    def rule(self, count: int = POINTS) -> Quadrature | None:
        """See `Value.rule`."""
        from augspec.kernels import quadrature

        return quadrature.finite(self.choice, self.weights)

    def can_be(self, number: float) -> bool:
        """See `Value.can_be`."""
        return any(n == number and w > 0 for n, w in zip(self.choice, self.weights, strict=True))

    def document(self) -> Any:
        """See `Value.document`."""
        if len(set(self.weights)) == 1:
            return {"choice": list(self.choice)}
        return {"choice": list(self.choice), "weights": list(self.weights)}


def _choice_tables(value: Choice, device: torch.device) -> tuple[Tensor, Tensor]:
    """The numbers of a choice, and the probabilities up to each but the last."""
    import torch

    options = torch.tensor(value.choice, dtype=torch.float64, device=device)
    weights = torch.tensor(value.weights, dtype=torch.float64, device=device)
    # without the last step: rounding may leave it a hair below 1, and below u
    return options, (weights / weights.sum()).cumsum(0)[:-1]


# copying them to a GPU makes the host wait; a tracer's tensors must not be kept
_kept_choice_tables = lru_cache(maxsize=256)(_choice_tables)

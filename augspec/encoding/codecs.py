"""Codecs: how one parameter becomes columns of a code, as a displacement from its identity.

Laws, tested for every codec over its whole range:

1. `encode(identity)` is exactly zero, and zero decodes to exactly the identity.
2. `decode(encode(x))` is `x` up to the precision of the code's dtype.
3. Decoding a float32 code and encoding the result gives the same code again, bit for bit:
   parameters are float64, so that a code is the complete record of what was applied.
4. Both directions are differentiable where the parameter is.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


class Codec(ABC):
    """Encodes `(B,)` parameters as `(B, width)` code columns and back."""

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ("",)
    """A suffix for each column; empty where the parameter's own name says it all."""

    @property
    def width(self) -> int:
        """How many columns the codec takes."""
        return len(self.columns)

    @abstractmethod
    def encode(self, value: Tensor) -> Tensor:
        """Parameters `(B,)` float64 to columns `(B, width)` float64."""

    @abstractmethod
    def decode(self, code: Tensor) -> Tensor:
        """Columns `(B, width)` to parameters `(B,)` float64."""


@dataclass(frozen=True)
class Linear(Codec):
    """`value - identity`."""

    identity: float = 0.0
    name: ClassVar[str] = "linear"

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        return (value - self.identity)[:, None]

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`."""
        return code[:, 0].double() + self.identity


@dataclass(frozen=True)
class Log(Codec):
    """`log(value)`, for positive parameters whose identity is 1."""

    name: ClassVar[str] = "log"

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        return value.log()[:, None]

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`."""
        return code[:, 0].double().exp()


@dataclass(frozen=True)
class Bit(Codec):
    """0 or 1; decoding leaves values in between alone, and the kernel thresholds at one half."""

    name: ClassVar[str] = "bit"

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        return value[:, None]

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`."""
        return code[:, 0].double()


@dataclass(frozen=True)
class Angle(Codec):
    """`(sin 2πt, 1 - cos 2πt)` of an angle of t turns, so that t and t + 1 have one code."""

    name: ClassVar[str] = "angle"
    columns: ClassVar[tuple[str, ...]] = ("sin", "versin")

    GRID: ClassVar[int] = 2**22
    """Angles of float32 codes are multiples of 1/GRID turn (8.6e-5 degrees): two float32 columns
    place an angle within 2e-8 turn, so rounding to the grid recovers it exactly."""

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`; exact at the half turn, where `sin(math.pi)` is not zero."""
        import torch

        half_turns = 2 * (value - value.round())  # in [-1, 1]
        sign = torch.where(half_turns < 0, -1.0, 1.0)
        folded = torch.where(half_turns.abs() > 0.5, sign - half_turns, half_turns)
        # 1 - cos x = 2 sin^2(x / 2) keeps the precision that subtracting from 1 would lose
        versin = 2 * (math.pi / 2 * half_turns).sin().square()
        # adding zero turns -0.0 into 0.0, so that the half turn has one code
        return torch.stack([(math.pi * folded).sin() + 0.0, versin], dim=-1)

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`; in (-1/2, 1/2] turn."""
        import torch

        sine, versin = code.double().unbind(-1)
        turns = torch.atan2(sine, 1 - versin) / (2 * math.pi)
        if code.dtype == torch.float64:
            return turns
        return self.snap(turns)

    def snap(self, turns: Tensor) -> Tensor:
        """The nearest angle that a float32 code carries exactly; the gradient passes through."""
        snapped = (turns * self.GRID).round() / self.GRID
        return turns + (snapped - turns).detach()


@dataclass(frozen=True)
class Order(Codec):
    """The order of four steps as six pairwise precedences in {-1, 0, +1}.

    The parameter is the index of a permutation in `PERMUTATIONS`. Column `i<j` is +1 where step i
    comes before step j, -1 where it comes after, and 0 where either step is neutral, which the op
    writes: the codec itself knows only the permutation.
    """

    steps: tuple[str, str, str, str] = ("0", "1", "2", "3")
    name: ClassVar[str] = "order"
    columns: ClassVar[tuple[str, ...]] = ("0<1", "0<2", "0<3", "1<2", "1<3", "2<3")

    PAIRS: ClassVar[tuple[tuple[int, int], ...]] = tuple(itertools.combinations(range(4), 2))
    PERMUTATIONS: ClassVar[tuple[tuple[int, ...], ...]] = tuple(itertools.permutations(range(4)))
    """Lexicographic; index 0 is the identity (0, 1, 2, 3)."""

    def permutation(self, value: Tensor) -> Tensor:
        """Indices `(B,)` to permutations `(B, 4)` int64: entry k is the step that comes k-th."""
        import torch

        table = torch.tensor(self.PERMUTATIONS, device=value.device)
        return table[value.detach().round().long().clamp(0, len(self.PERMUTATIONS) - 1)]

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        import torch

        position = self.permutation(value).argsort(dim=-1)  # position[b, i]: when step i comes
        return torch.stack(
            [(position[:, j] - position[:, i]).sign().double() for i, j in self.PAIRS], dim=-1
        )

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`; steps with no precedence at all are neutral and come last."""
        import torch

        wins = torch.zeros(code.shape[0], 4, dtype=torch.float64, device=code.device)
        known = torch.zeros_like(wins)
        for column, (i, j) in enumerate(self.PAIRS):
            precedence = code[:, column].detach().double().round().clamp(-1, 1)
            wins[:, i] += precedence
            wins[:, j] -= precedence
            known[:, i] += precedence.abs()
            known[:, j] += precedence.abs()
        # most wins first; equals (neutral steps, or cycles in a made-up code) in index order
        rank = torch.where(known > 0, -wins, 8.0)
        order = torch.argsort(rank, dim=-1, stable=True)
        digits = order.double() @ order.new_tensor([64, 16, 4, 1]).double()
        table = torch.tensor(self.PERMUTATIONS, device=code.device).double()
        keys = table @ table.new_tensor([64, 16, 4, 1])
        return torch.searchsorted(keys, digits).double()

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
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from augspec.encoding.order_tables import OrderTables

Motion: TypeAlias = Literal["moves", "jumps", "holds", "follows"]
"""How a parameter goes from its identity to its value, see `augspec.codes.paths`.

`moves`: continuously, and never back. `jumps`: all at once, just after one half. `holds`: it has
its value all the way, since it only says how, not how much. `follows`: as `moves`, and it jumps
where another parameter, without which it is no part of the code, does.
"""


class Codec(ABC):
    """Encodes `(B,)` parameters as `(B, width)` code columns and back."""

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ("",)
    """A suffix for each column; empty where the parameter's own name says it all."""

    allowed: ClassVar[str] = "a number"
    """What columns can stand for a parameter, in words."""

    slack: ClassVar[float] = 2e-6
    """How far columns may be off that by rounding: what float32 and six written decimals do."""

    motion: ClassVar[Motion] = "moves"
    """How its parameters go along a path, unless their op says otherwise."""

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

    def carried(self, value: Tensor) -> Tensor:
        """What a float32 code carries of parameters `(B,)`, as ops draw them, float64."""
        return value

    def nearest(self, code: Tensor) -> Tensor:
        """The columns nearest to finite ones `(B, width)` that can stand for a parameter."""
        return code

    def toward(self, code: Tensor, s: Tensor) -> Tensor:
        """The columns a part of the way from the identity; differentiable in both.

        Here, the columns times the part: an arithmetic path for `linear`, a geometric one (a factor
        to the power s) for `log`.

        Args:
            code: `(B, width)`.
            s: `(B,)` float64 in [0, 1]; 0 gives zeros, and 1 the code itself.
        """
        return (code.double() * s[:, None] + 0.0).to(code.dtype)  # no negative zero


@dataclass(frozen=True)
class Linear(Codec):
    """`value - identity`."""

    identity: float = 0.0
    name: ClassVar[str] = "linear"

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        return (value - self.identity)[:, None]

    def carried(self, value: Tensor) -> Tensor:
        """See `Codec.carried`."""
        return (value - self.identity).float().double() + self.identity

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`."""
        return code[:, 0].double() + self.identity


@dataclass(frozen=True)
class Log(Codec):
    """`log(value)`, for positive parameters whose identity is 1."""

    name: ClassVar[str] = "log"
    allowed: ClassVar[str] = "the logarithm of a positive number, from -745 to 709.78"

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        return value.log()[:, None]

    def carried(self, value: Tensor) -> Tensor:
        """See `Codec.carried`."""
        return value.log().float().double().exp()

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`."""
        return code[:, 0].double().exp()

    def nearest(self, code: Tensor) -> Tensor:
        """See `Codec.nearest`; beyond, a float64 is zero or infinite."""
        return code.clamp(-745.0, 709.78)


@dataclass(frozen=True)
class Bit(Codec):
    """0 or 1; decoding leaves values in between alone, and the kernel thresholds at one half."""

    name: ClassVar[str] = "bit"
    motion: ClassVar[Motion] = "jumps"
    allowed: ClassVar[str] = "0 or 1"

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        return value[:, None]

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`."""
        return code[:, 0].double()

    def nearest(self, code: Tensor) -> Tensor:
        """See `Codec.nearest`; one half is 0, as for the kernels."""
        return code.round().clamp(0.0, 1.0) + 0.0  # no negative zero

    def toward(self, code: Tensor, s: Tensor) -> Tensor:
        """See `jumped`."""
        return jumped(code, s)


@dataclass(frozen=True)
class Angle(Codec):
    """`(sin 2πt, 1 - cos 2πt)` of an angle of t turns, so that t and t + 1 have one code."""

    name: ClassVar[str] = "angle"
    columns: ClassVar[tuple[str, ...]] = ("sin", "versin")
    allowed: ClassVar[str] = "on the circle, sin^2 + (1 - versin)^2 = 1"
    # decoding does not see how far from the middle a point is: more than rounding is harmless
    slack: ClassVar[float] = 1e-4

    GRID: ClassVar[int] = 2**22
    """Angles of float32 codes are multiples of 1/GRID turn (8.6e-5 degrees): two float32 columns
    place an angle within 2e-8 turn, so rounding to the grid recovers it exactly."""

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`; exact at the half turn, where `sin(math.pi)` is not zero."""
        import torch

        half_turns = 2 * (value - value.round())  # in [-1, 1]
        folded = torch.where(half_turns.abs() > 0.5, half_turns.sign() - half_turns, half_turns)
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

    def nearest(self, code: Tensor) -> Tensor:
        """See `Codec.nearest`; the middle of the circle, which is near to all, goes to zero."""
        return self.encode(self.decode(code)).to(code.dtype)

    def toward(self, code: Tensor, s: Tensor) -> Tensor:
        """See `Codec.toward`: a part of the angle, the shorter way; of a half turn, forwards.

        From a float32 code, that part is on the grid.
        """
        import torch

        turns = self.decode(code) * s
        if code.dtype != torch.float64:
            turns = self.snap(turns)
        return self.encode(turns).to(code.dtype)

    def snap(self, turns: Tensor) -> Tensor:
        """The nearest angle that a float32 code carries exactly; the gradient passes through."""
        snapped = (turns * self.GRID).round() / self.GRID
        return turns + (snapped - turns).detach()


@dataclass(frozen=True)
class Uncoded(Codec):
    """No column at all: for the seed of a random field, which is not part of the code.

    Decoding gives zeros; who wants the same field again supplies the seed.
    """

    name: ClassVar[str] = "uncoded"
    motion: ClassVar[Motion] = "holds"
    columns: ClassVar[tuple[str, ...]] = ()

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        return value.new_zeros(len(value), 0)

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`."""
        return code.new_zeros(len(code)).double()


@dataclass(frozen=True)
class Category(Codec):
    """One of `options` whole numbers 0, 1, 2 ... as one-hot columns; 0, the identity, has none.

    Column k - 1 is 1 for option k. There is no gradient: options have nothing in between.

    Attributes:
        options: how many there are, at least 2.
        labels: what options 1, 2 ... are, as the suffixes of their columns; numbers if not given.
    """

    options: int = 2
    labels: tuple[str, ...] = ()
    name: ClassVar[str] = "category"
    motion: ClassVar[Motion] = "jumps"
    allowed: ClassVar[str] = "all 0, or 1 in one column and 0 in the others"

    def __post_init__(self) -> None:
        if self.options < 2:
            raise ValueError(f"a category needs at least 2 options, got {self.options}")
        if self.labels and len(set(self.labels)) != self.options - 1:
            raise ValueError(
                f"{self.options} options need {self.options - 1} different labels (option 0 has no "
                f"column), got {list(self.labels)}"
            )

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """One column for each option but the identity."""
        return self.labels or tuple(str(k) for k in range(1, self.options))

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        import torch

        own = torch.arange(1, self.options, device=value.device)
        return (value.detach().round()[:, None] == own).double()

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`; the column nearest to one, or 0 where all are below one half."""
        import torch

        columns = code.detach().double()
        apart = torch.where(columns < 0.5, torch.inf, (columns - 1).abs())
        return torch.where((columns < 0.5).all(dim=-1), 0, apart.argmin(dim=-1) + 1).double()

    def nearest(self, code: Tensor) -> Tensor:
        """See `Codec.nearest`: the option that it decodes to."""
        return self.encode(self.decode(code)).to(code.dtype)

    def toward(self, code: Tensor, s: Tensor) -> Tensor:
        """See `jumped`."""
        return jumped(code, s)


@dataclass(frozen=True)
class Order(Codec):
    """The order of `count` steps as pairwise precedences in {-1, 0, +1}.

    The parameter is the index of a permutation in lexicographic order; index 0 is the identity
    (0, 1, 2 ...). Column `i<j` is +1 where step i comes before step j, -1 where it comes after, and
    0 where no image can show which (either is neutral, or the two commute), which the op writes
    (`unseen`, `seen`): the codec itself knows only the permutation. Two orders that agree on all
    pairs that do not commute are one product (Cartier and Foata, "Problèmes combinatoires de
    commutation et réarrangements", 1969), so the columns say all about it.
    """

    count: int = 4
    name: ClassVar[str] = "order"
    motion: ClassVar[Motion] = "holds"
    allowed: ClassVar[str] = "-1, 0 or 1 in every column, and without a cycle"

    MOST: ClassVar[int] = 18
    """18! is the last factorial below 2**53: a float64 tells all the orders of 18 steps apart."""

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The two steps of each column."""
        return tuple(itertools.combinations(range(self.count), 2))

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """One column for each pair of steps."""
        return tuple(f"{i}<{j}" for i, j in self.pairs)

    @property
    def orders(self) -> int:
        """How many orders there are."""
        return math.factorial(self.count)

    def permutation(self, value: Tensor) -> Tensor:
        """Indices `(B,)` to `(B, count)` int64 orders: entry k is the step that comes k-th."""
        tables, index = self._tables(value.device), self._row(value)
        return tables.orders[index] if tables else self.unranked(index)

    def position(self, value: Tensor) -> Tensor:
        """Indices `(B,)` to `(B, count)` int64: entry k is the place at which step k comes."""
        tables = self._tables(value.device)
        if tables is None:
            return self.permutation(value).argsort(dim=-1)
        return tables.places[self._row(value)]

    def _row(self, value: Tensor) -> Tensor:
        """The nearest index that there is, `(B,)` int64."""
        return value.detach().round().long().clamp(0, self.orders - 1)

    def _tables(self, device: torch.device) -> OrderTables | None:
        """What is looked up where there are few steps; a tracer's tensors must not be kept."""
        from augspec.encoding.order_tables import MOST_STEPS, order_tables
        from augspec.kernels.tracing import tracing

        if not 2 <= self.count <= MOST_STEPS or tracing():
            return None
        return order_tables(self, device)

    def unranked(self, rest: Tensor) -> Tensor:
        """Indices `(B,)` int64 that are in range to orders, see `permutation`."""
        import torch

        digits = []
        for k in range(self.count):  # the index written in factorial base: a Lehmer code
            place = math.factorial(self.count - 1 - k)
            digits.append(rest // place)
            rest = rest % place
        steps = list(reversed(digits))
        for k in range(1, self.count):
            # each digit counts the smaller steps that are still to come
            steps[:k] = [step + (step >= steps[k]) for step in steps[:k]]
        return torch.stack(steps[::-1], dim=-1)

    def index(self, permutation: Tensor) -> Tensor:
        """Permutations `(B, count)` to their indices `(B,)` float64."""
        import torch

        earlier, later = permutation[:, :, None], permutation[:, None, :]
        smaller = torch.triu(earlier > later, diagonal=1).sum(dim=-1).double()
        index = smaller.new_zeros(len(smaller))
        for k, digit in enumerate(smaller.unbind(-1)):
            index = index + digit * math.factorial(self.count - 1 - k)
        return index

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        tables = self._tables(value.device)
        if tables:
            return tables.codes[self._row(value)]
        return self.precedences(self.position(value))

    def precedences(self, position: Tensor) -> Tensor:
        """Places `(B, count)`, see `position`, to columns `(B, width)` float64."""
        first, second = self._ends(position)
        return (second - first).sign().double()

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`; the first order that agrees, steps without any precedence last.

        A code need not place every pair: of the orders that it leaves open, this is the first.
        """
        whole = code.detach().double().round().clamp(-1, 1)
        tables = self._tables(code.device)
        if tables is None:
            return self.first_order(whole)
        # what is no number says nothing of the order
        return tables.indices[(whole.nan_to_num(0.0) @ tables.powers).long() + tables.middle]

    def first_order(self, whole: Tensor) -> Tensor:
        """The indices `(B,)` float64 that columns `(B, width)` of -1, 0 and 1 decode to."""
        import torch

        from augspec.kernels.orders import linear_extension

        none = torch.zeros_like(whole[:, 0] if self.pairs else whole.sum(dim=-1), dtype=torch.bool)
        table = [[none] * self.count for _ in range(self.count)]
        for column, (i, j) in enumerate(self.pairs):
            table[i][j], table[j][i] = whole[:, column] > 0, whole[:, column] < 0
        before = torch.stack([torch.stack(row, dim=-1) for row in table], dim=-2)
        known = before.any(dim=-1) | before.any(dim=-2)
        index = torch.arange(self.count, device=whole.device)
        return self.index(linear_extension(before, torch.where(known, index, index + self.count)))

    def nearest(self, code: Tensor) -> Tensor:
        """See `Codec.nearest`: what agrees with the order that it decodes to; zeros stay."""
        import torch

        whole = code.round().clamp(-1.0, 1.0)
        agreeing = self.encode(self.decode(code)).to(code.dtype)
        return torch.where(whole == 0, 0.0, agreeing)

    def toward(self, code: Tensor, s: Tensor) -> Tensor:
        """See `Codec.toward`: unchanged; the op sets to 0 the pairs of which a step is neutral."""
        return code

    def unseen(self, code: Tensor, acting: Tensor) -> Tensor:
        """The code with 0 for each pair of which a step is neutral.

        Args:
            code: `(B, width)`, columns of this codec.
            acting: `(B, count)` bool, which steps change anything.
        """
        import torch

        first, second = self._ends(acting)
        return torch.where(first & second, code, 0.0)

    def encode_seen(self, value: Tensor, acting: Tensor) -> Tensor:
        """The code with 0 for each pair of which a step is neutral: `unseen` of `encode`.

        Args:
            value: indices `(B,)`.
            acting: `(B, count)` bool, which steps change anything.
        """
        tables = self._tables(value.device)
        if tables is None:
            return self.unseen(self.encode(value), acting)
        row = self._row(value) * 2**self.count + (acting.double() @ tables.bits).long()
        return tables.seen[row]

    def seen(self, code: Tensor, pairs: Tensor) -> Tensor:
        """The code with 0 for each pair whose order no image can show.

        Args:
            code: `(B, width)`, columns of this codec.
            pairs: `(B, count, count)` bool, symmetric: whose order can be seen.
        """
        import torch

        if not self.pairs:
            return code
        return torch.where(torch.stack([pairs[:, i, j] for i, j in self.pairs], -1), code, 0.0)

    def _ends(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The values of the first and of the second step of each pair, `(B, width)` each."""
        import torch

        steps = values.unbind(-1)  # no table of indices: copying one to a GPU makes the host wait
        none = [values[:, 0]] if self.count < 2 else []
        firsts, seconds = ([steps[p[end]] for p in self.pairs] + none for end in (0, 1))
        width = len(self.pairs)
        return torch.stack(firsts, dim=-1)[:, :width], torch.stack(seconds, dim=-1)[:, :width]


def jumped(code: Tensor, s: Tensor) -> Tensor:
    """The columns `(B, width)` where `s` `(B,)` is above one half, and zeros elsewhere.

    At exactly one half nothing acts yet: kernels take a bit of one half for 0, too.
    """
    import torch

    return torch.where(s[:, None] > 0.5, code, 0.0)

"""Which ops commute: whether an image can show which of two that both act came first."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from augspec.ops.contract import Op, Parameters, Rule
from augspec.ops.effect import Effect, Keeps
from augspec.ops.switch import SwitchOp

if TYPE_CHECKING:
    from torch import Tensor


def rule(a: Op, b: Op) -> tuple[Rule, bool]:
    """Whether two ops that render commute, in exact arithmetic and on every image.

    By the `effect` of both, or by what one of them says itself. Ops may commute more often than
    this says; never less often.

    Returns:
        The rule; and whether `b` is the op that it calls its own, and `a` the other.
    """
    ways = [(way, turned) for way in (_by_effect, _by_itself) for turned in (False, True)]
    found = [(way(b, a) if turned else way(a, b), turned) for way, turned in ways]
    conditional = [answer for answer in found if answer[0] is not False]
    always = [answer for answer in conditional if answer[0] is True]
    return [*always, *conditional, (False, False)][0]


def _by_itself(own: Op, other: Op) -> Rule:
    return own.commutes(other)


def _by_effect(own: Op, other: Op) -> bool | Keeps:
    """See `rule`."""
    one, two = own.effect, other.effect
    if _same_switch(own, other):
        return True
    if one.places is not None and two.tones is not None and _go_together(one, two):
        return Keeps(one.paints) if one.paints else True
    if one.places == two.places == "averages" and one.even and two.even:
        return True  # symmetric convolutions of a mirrored image
    if one.places == two.places == "covers":
        return len({*one.paints, *two.paints}) == 1
    return one.places == "rearranges" and two.even


def _go_together(places: Effect, tones: Effect) -> bool:
    """Whether an op on places and one on tones commute, but for what the former paints."""
    if places.places == "rearranges":
        return True
    if places.places in ("covers", "picks"):
        return tones.tones != "image"
    if places.places == "averages":
        return tones.tones == "affine"
    return tones.monotone


def _same_switch(a: Op, b: Op) -> bool:
    """Whether both can only do one thing, and the same."""
    if type(a) is not type(b) or not isinstance(a, SwitchOp) or len(a.parameters()) > 1:
        return False
    fields = set(type(a).model_fields) - {"id", "share", "p"}
    return all(getattr(a, field) == getattr(b, field) for field in fields)


def keeps(op: Op, params: Parameters, value: float) -> Tensor:
    """Where an op of tones leaves images of one intensity as they are: `(B,)` bool."""
    import torch

    some = next(iter(params.values()))
    flat = torch.full((len(some), 3, 1, 1), value, device=some.device)
    with torch.no_grad():
        return (op.render(flat, params) == flat).flatten(1).all(dim=1)


@dataclass(frozen=True)
class Table:
    """How the ops that render inside one op commute with those inside another.

    Attributes:
        never: for an op of the first, those of the second with which it never commutes.
        kept: whether the op that must keep some constants is in the second, which op it is, the
            constants, and the ops of the other with which it then commutes.
        both: pairs that commute where a function of both says so, which may want them turned round.
    """

    never: tuple[tuple[int, tuple[int, ...]], ...]
    kept: tuple[tuple[bool, int, tuple[float, ...], tuple[int, ...]], ...]
    both: tuple[tuple[int, int, bool, Callable[[Parameters, Parameters], Tensor]], ...]


Rendered: TypeAlias = tuple[str, Op, bool]
"""An op that renders: what its parameters' names begin with, and whether it is part of a mean."""


def make_table(first: Sequence[Rendered], second: Sequence[Rendered]) -> Table:
    """Looks up the rule of every pair."""
    never: dict[int, list[int]] = {}
    kept: dict[tuple[bool, int, tuple[float, ...]], list[int]] = {}
    both: list[tuple[int, int, bool, Callable[[Parameters, Parameters], Tensor]]] = []
    for i, (_, a, in_mean) in enumerate(first):
        for j, (_, b, other_in_mean) in enumerate(second):
            found, turned = rule(a, b)
            if (in_mean and not b.effect.affine) or (other_in_mean and not a.effect.affine):
                found = False
            if found is False:
                never.setdefault(i, []).append(j)
            elif isinstance(found, Keeps):
                key = (not turned, i if turned else j, found.values)
                kept.setdefault(key, []).append(j if turned else i)
            elif found is not True:
                both.append((i, j, turned, found))
    return Table(
        tuple((i, tuple(js)) for i, js in never.items()),
        tuple((*key, tuple(others)) for key, others in kept.items()),
        tuple(both),
    )


class Clashes:
    """Which of several ops can be seen to come one before the other.

    Two do where both act, and some op inside the one does not commute with some op inside the
    other: that they commute is then proven op by op.

    Args:
        ops: the ops with what their parameters' names begin with.
    """

    def __init__(self, ops: Sequence[tuple[str, Op]]) -> None:
        self.rendered = [
            [(prefix + name, leaf, mean) for name, leaf, mean in op.rendered] for prefix, op in ops
        ]
        self._same = [id(op) for _, op in ops]  # a repeated op needs one table

    @cached_property
    def tables(self) -> dict[tuple[int, int], Table]:
        """The table of each pair of ops, the earlier one first."""
        found: dict[tuple[int, int], Table] = {}
        made: dict[tuple[int, int], Table] = {}
        for j in range(len(self.rendered)):
            for i in range(j):
                key = self._same[i], self._same[j]
                if key not in made:
                    made[key] = make_table(self.rendered[i], self.rendered[j])
                found[i, j] = made[key]
        return found

    def __call__(self, params: Parameters) -> Tensor:
        """Which pairs clash: `(B, K, K)` bool, symmetric, from parameters in canonical form."""
        import torch

        state = _State(self.rendered, params)
        count = len(self.rendered)
        rows = [[state.none] * count for _ in range(count)]
        for (i, j), table in self.tables.items():
            rows[i][j] = rows[j][i] = state.clash(i, j, table)
        return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


class _State:
    """The parameters of one batch, and what has been computed of them."""

    def __init__(self, rendered: Sequence[Sequence[Rendered]], params: Parameters) -> None:
        import torch

        self.ops = [[op for _, op, _ in inner] for inner in rendered]
        self.own = [
            [{p.name: params[prefix + p.name] for p in op.parameters()} for prefix, op, _ in inner]
            for inner in rendered
        ]
        self.none = torch.zeros_like(next(iter(params.values())), dtype=torch.bool)
        self._made: dict[Hashable, Tensor] = {}

    def clash(self, i: int, j: int, table: Table) -> Tensor:
        """Where op i and op j can be seen to come one before the other, `(B,)` bool."""
        found = self.none
        for k, others in table.never:
            found = found | (self._acts(i, (k,)) & self._acts(j, others))
        for second, k, values, others in table.kept:
            keeper, other = (j, i) if second else (i, j)
            seen = ~self._keeps(keeper, k, values)
            found = found | (self._acts(keeper, (k,)) & self._acts(other, others) & seen)
        for k, m, turned, commutes in table.both:
            own, its = self._coded(i, k), self._coded(j, m)
            seen = ~(commutes(its, own) if turned else commutes(own, its))
            found = found | (self._acts(i, (k,)) & self._acts(j, (m,)) & seen)
        return found

    def _acts(self, i: int, inner: tuple[int, ...]) -> Tensor:
        """Where any of these ops inside op i acts."""
        if (i, inner) not in self._made:
            if len(inner) == 1:
                found = self.ops[i][inner[0]].active(self.own[i][inner[0]])
            else:
                found = self._acts(i, inner[:1]) | self._acts(i, inner[1:])
            self._made[i, inner] = found
        return self._made[i, inner]

    def _keeps(self, i: int, k: int, values: tuple[float, ...]) -> Tensor:
        key = "keeps", i, k, values
        if key not in self._made:
            found = ~self.none
            for value in values:
                found = found & keeps(self.ops[i][k], self._coded(i, k), value)
            self._made[key] = found
        return self._made[key]

    def _coded(self, i: int, k: int) -> Parameters:
        """What the code says: decided by it alone, a decoded code has the same code again."""
        op, own = self.ops[i][k], self.own[i][k]
        return {n: v.detach() for n, v in op.decode(op.encode_canonical(own).float()).items()}

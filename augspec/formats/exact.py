"""What is known exactly of the moments of a format's columns: that follows from their terms.

An op draws for itself, so the expectation of a product is the product of what each op gives: its
mean where one factor is its own, its second moment where two are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from augspec.compiler.plan import Step, ViewPlan
from augspec.encoding.codecs import Codec
from augspec.formats.contract import Factor, FormatColumn, Term
from augspec.ops.contract import Size

if TYPE_CHECKING:
    from augspec.codes.statistics import Known

Place: TypeAlias = tuple[int, str]
"""One op of one view: the number of the view in the group, and the op's id."""


class Odds:
    """Expectations of factors, and of products of two, of ops that are drawn once.

    Args:
        columns: the columns whose factors are asked for.
        group: the views.
        size: height and width of the source images, where they are known.
    """

    def __init__(
        self, columns: Sequence[FormatColumn], group: Sequence[ViewPlan], size: Size | None
    ) -> None:
        self.size = size
        self.steps: dict[Place, Step] = {}
        self._means: dict[Place, dict[tuple[str | None, int], float]] = {}
        self._seconds: dict[Place, dict[tuple[str | None, int, str | None, int], float]] = {}
        wanted: dict[Place, dict[str, Codec]] = {}
        for column in columns:
            for factor in (f for term in column.terms or () for f in term.factors):
                own = wanted.setdefault(_place(factor), {})
                if factor.parameter is not None:
                    own[factor.parameter] = factor.codec
        for number, view in enumerate(group):
            for step, at in view.placed(size):
                if (number, step.id) in wanted:
                    self._learn((number, step.id), step, at, wanted[number, step.id])

    def _learn(self, place: Place, step: Step, at: Size | None, codecs: dict[str, Codec]) -> None:
        """Takes in what an op says of its own draws."""
        self.steps[place] = step
        moments = step.op.moments(at, codecs)
        acting = step.op.acting_probability(at)
        names: list[tuple[str | None, int]] = [
            (p.name, k)
            for p in step.op.parameters(at)
            for k in range(codecs.get(p.name, p.codec).width)
        ]
        mean, second = moments.mean.tolist(), moments.second.tolist()
        means = dict(zip(names, mean, strict=True))
        seconds = {(*a, *b): second[k][m] for k, a in enumerate(names) for m, b in enumerate(names)}
        # where the op does not act, all else is zero too
        means[None, 0] = seconds[None, 0, None, 0] = math.nan if acting is None else acting
        for name in names:
            seconds[None, 0, *name] = seconds[*name, None, 0] = means[name]
        self._means[place], self._seconds[place] = means, seconds

    def expected(self, *terms: Term) -> float:
        """E of the product of these terms, at most two; NaN where it is not known."""
        scale = math.prod(self._scale(term) for term in terms)
        if scale == 0:
            return 0.0
        by_place: dict[Place, list[Factor]] = {}
        for factor in (f for term in terms for f in term.factors):
            by_place.setdefault(_place(factor), []).append(factor)
        if any(self._share(a, b) for a, b in itertools.combinations(by_place, 2)):
            return math.nan
        return scale * math.prod(self._own(place, own) for place, own in by_place.items())

    def covariance(self, a: Term, b: Term) -> float:
        """Of two terms; NaN where it is not known. It is 0 where different ops decide them."""
        places = [{_place(factor) for factor in term.factors} for term in (a, b)]
        together = itertools.product(*places)
        if not any(p == q or self._share(p, q) for p, q in together):
            return 0.0
        return self.expected(a, b) - self.expected(a) * self.expected(b)

    def _scale(self, term: Term) -> float:
        if term.side is None:
            return term.scale
        return term.scale * self.size[term.side] if self.size is not None else math.nan

    def _own(self, place: Place, factors: list[Factor]) -> float:
        """The expectation of the factors of one op."""
        names = [(f.parameter, f.column) for f in factors]
        if len(names) == 1:
            return self._means[place][names[0]]
        (a, b) = names
        return self._seconds[place][*a, *b]

    def _share(self, a: Place, b: Place) -> bool:
        """Whether two different ops have draws in common."""
        keys = [{(s.view, s.slot) for s in self.steps[place].streams} for place in (a, b)]
        return a != b and not keys[0].isdisjoint(keys[1])


def known(columns: Sequence[FormatColumn], group: Sequence[ViewPlan], size: Size | None) -> Known:
    """Mean and covariance of the columns, as far as they are known exactly.

    Args:
        columns: the columns.
        group: the views that the factors' numbers mean.
        size: height and width of the source images, where they are known.
    """
    import torch

    from augspec.codes.statistics import Known

    odds = Odds(columns, group, size)
    nothing = (Term(math.nan),)
    sums = [nothing if column.terms is None else column.terms for column in columns]
    mean = [sum(odds.expected(term) for term in terms) for terms in sums]
    covariance = torch.zeros(len(sums), len(sums), dtype=torch.float64)
    for k, a in enumerate(sums):
        for m, b in enumerate(sums[: k + 1]):
            unknown = nothing in (a, b)
            pairs = [] if unknown else itertools.product(a, b)
            value = math.nan if unknown else sum(odds.covariance(p, q) for p, q in pairs)
            covariance[k, m] = covariance[m, k] = value
    return Known(torch.tensor(mean, dtype=torch.float64), covariance)


def _place(factor: Factor) -> Place:
    return factor.view, factor.step

"""Mean, standard deviation and covariance of columns: exact where known, drawn where not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from augspec.language.table import table

DRAWS = 2**17
"""How many samples are drawn where no exact value is known, unless the caller says otherwise."""

CHUNK = 2**13


@dataclass(frozen=True)
class Known:
    """What is known exactly of the columns of a view; NaN for the rest.

    Attributes:
        mean: `(E,)` float64.
        covariance: `(E, E)` float64.
    """

    mean: Tensor
    covariance: Tensor


@dataclass(frozen=True)
class ColumnStatistics:
    """Moments of E columns over one view, or over several together.

    Attributes:
        views: the views, as a predictor sees them: each as often as the others.
        names: the names of the columns.
        mean: `(E,)` float64.
        covariance: `(E, E)` float64.
        stderr: the standard error of each mean, `(E,)`; 0 where it is exact.
        std_stderr: the standard error of each standard deviation, `(E,)`; 0 where it is exact.
        exact: which columns have an exact mean and standard deviation, `(E,)` bool. A covariance is
            exact where both its columns are; between ops that draw for themselves, it is 0.
        draws: how many samples were drawn for the others; 0 if there are none.
    """

    views: tuple[str, ...]
    names: tuple[str, ...]
    mean: Tensor
    covariance: Tensor
    stderr: Tensor
    std_stderr: Tensor
    exact: Tensor
    draws: int

    @property
    def std(self) -> Tensor:
        """The standard deviations, `(E,)` float64; 0 for a column that never varies."""
        return self.covariance.diagonal().clamp_min(0).sqrt()

    def standardize(self, columns: Tensor) -> Tensor:
        """Columns `(B, E)` less their mean, in standard deviations; constant ones become 0."""
        mean, std = self.mean.to(columns), self.std.to(columns)
        return torch.where(std > 0, (columns - mean) / torch.where(std > 0, std, 1.0), 0.0)

    def document(self, *, covariance: bool = False) -> list[dict[str, Any]]:
        """One plain mapping a column, for JSON; what is not known is None."""
        columns: dict[str, list[Any]] = {
            "name": list(self.names),
            "mean": _plain(self.mean),
            "std": _plain(self.std),
            "stderr": _plain(self.stderr),
            "std_stderr": _plain(self.std_stderr),
            "exact": self.exact.tolist(),
            "draws": [0 if exact else self.draws for exact in self.exact.tolist()],
            "views": [list(self.views) for _ in self.names],
        }
        if covariance:
            columns["covariance"] = [_plain(row) for row in self.covariance]
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def describe(self) -> str:
        """The moments as a table in plain text."""
        rows = [("column", "mean", "std", "error of mean", "error of std")]
        for row in self.document():
            errors = ["exact", ""] if row["exact"] else [_digits(row[k], 1) for k in ERRORS]
            rows.append((row["name"], _digits(row["mean"], 5), _digits(row["std"], 5), *errors))
        head = f"views {' + '.join(self.views)}: {len(self.names)} columns"
        if self.draws:
            head += f"; {self.draws} samples drawn where no exact value is known"
        return "\n".join([head, *table(rows)])


ERRORS = ("stderr", "std_stderr")


def _plain(values: Tensor) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def _digits(value: float | None, digits: int) -> str:
    """A number with so many digits; what exact arithmetic would make zero is shown as zero."""
    if value is None:
        return "unknown"
    return "0" if abs(value) < 1e-12 else f"{value:.{digits}g}"


def statistics(
    views: Sequence[str],
    names: Sequence[str],
    exact: Sequence[Known],
    draw: Callable[[Tensor], Sequence[Tensor]],
    draws: int,
) -> ColumnStatistics:
    """The moments of columns over several views together.

    Args:
        views: the names of the V views.
        names: the names of the E columns.
        exact: for each view, what is known exactly, NaN for the rest. Equal views have the same
            object, so that nothing is lost in pooling them.
        draw: the columns of samples with these ids `(B,)`, `(B, E)` float64 for each view; samples
            must be independent of one another.
        draws: how many samples to draw if anything is missing.
    """
    mean, covariance = (whole := pooled(exact)).mean, whole.covariance
    known = ~(mean.isnan() | covariance.diagonal().isnan())
    zero = torch.zeros_like(mean)
    if known.all() and not covariance.isnan().any():
        return ColumnStatistics((*views,), (*names,), mean, covariance, zero, zero, known, 0)
    drawn_mean, drawn_covariance, stderr, std_stderr = _drawn(draw, draws, len(names))
    return ColumnStatistics(
        views=(*views,),
        names=(*names,),
        mean=torch.where(known, mean, drawn_mean),
        covariance=torch.where(covariance.isnan(), drawn_covariance, covariance),
        stderr=torch.where(known, 0.0, stderr),
        std_stderr=torch.where(known, 0.0, std_stderr),
        exact=known,
        draws=draws,
    )


def pooled(parts: Sequence[Known], shares: Sequence[float] | None = None) -> Known:
    """What is known of a mixture.

    Args:
        parts: what is known of each part. Equal parts may be one object, which then loses nothing:
            two columns that vary independently in each part do so in the mixture of equal parts.
        shares: how large each part is, in proportion; all alike if None.
    """
    first = parts[0]
    if all(part is first for part in parts):
        return first
    share = torch.tensor(shares or [1.0] * len(parts), dtype=torch.float64)
    share = share / share.sum()
    means = torch.stack([part.mean for part in parts])
    mean = share @ means
    apart = means - mean  # the law of total covariance
    within = torch.stack([part.covariance for part in parts])
    between = apart.mT @ (share[:, None] * apart)
    return Known(mean, (share[:, None, None] * within).sum(dim=0) + between)


def _drawn(
    draw: Callable[[Tensor], Sequence[Tensor]], draws: int, width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, covariance, and the standard errors of mean and standard deviation."""
    powers = torch.zeros(4, width, dtype=torch.float64)  # sums of x, x^2, x^3, x^4
    products = torch.zeros(width, width, dtype=torch.float64)
    averaged = torch.zeros(2, width, dtype=torch.float64)  # sums over the mean of the views
    count = 0
    for ids in _chunks(draws):
        views = torch.stack([columns.double() for columns in draw(ids)])
        x = views.flatten(0, 1)
        powers += torch.stack([(x**k).sum(dim=0) for k in range(1, 5)])
        products += x.mT @ x
        middle = views.mean(dim=0)
        averaged += torch.stack([middle.sum(dim=0), middle.square().sum(dim=0)])
        count += len(x)
    m1, m2, m3, m4 = (powers / count).unbind(0)
    covariance = products / count - m1[:, None] * m1
    variance = covariance.diagonal().clamp_min(0)
    # the views of a sample may share draws, so it is samples that are counted
    spread = (averaged[1] / draws - (averaged[0] / draws).square()).clamp_min(0)
    stderr = (spread / draws).sqrt()
    fourth = m4 - 4 * m1 * m3 + 6 * m1.square() * m2 - 3 * m1**4
    effective = torch.where(spread > 0, variance / (spread / draws), draws)
    std = variance.sqrt()
    error = ((fourth - variance.square()).clamp_min(0) / effective).sqrt()
    return m1, covariance, stderr, torch.where(std == 0, 0.0, error / (2 * std))


def _chunks(draws: int) -> Iterator[Tensor]:
    for start in range(0, draws, CHUNK):
        yield torch.arange(start, min(start + CHUNK, draws))

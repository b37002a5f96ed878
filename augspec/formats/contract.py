"""What a published format is: one file that says which columns it has, and where that is written.

A column is mostly a sum of terms, and a term a number times what one or two ops drew. Such a column
is plain data: its value, and its exact moments, both follow from it. What is no such sum (a mean of
pixels, a norm over views) a format computes itself, and its moments are drawn.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from augspec.encoding.codecs import Codec

if TYPE_CHECKING:
    from torch import Tensor

    from augspec.compiler.pipeline import Pipeline
    from augspec.compiler.plan import ViewPlan

Kind: TypeAlias = Literal["view", "pair", "sequence"]
"""What one vector of a format describes: a view, two views in either direction, or the step from
each view of a sequence to the next."""


class FormatError(ValueError):
    """A view cannot be written in a format, or something that the format needs is missing."""


@dataclass(frozen=True)
class Factor:
    """One number of a draw, zero at the identity.

    Attributes:
        step: the op's id within the view.
        parameter: the op's parameter; None for whether the op acts at all, 1 or 0.
        codec: how the parameter is encoded. All the factors of a format that read one parameter of
            one view have the same codec.
        column: which column of the codec.
        view: which view of the group, counted from 0.
    """

    step: str
    parameter: str | None
    codec: Codec
    column: int = 0
    view: int = 0


@dataclass(frozen=True)
class Term:
    """A number times a product of factors.

    Attributes:
        scale: the number.
        factors: at most one of each op of each view; none for a constant.
        side: by which side of the source image the term is multiplied: 0 for its height, 1 for its
            width, in pixels; None for neither.
    """

    scale: float
    factors: tuple[Factor, ...] = ()
    side: Literal[0, 1] | None = None


@dataclass(frozen=True)
class FormatColumn:
    """One column of a format.

    Attributes:
        name: unique within the format.
        unit: its unit, in words.
        terms: whose sum it is; None for a column that the format computes itself.
        whole: whether it is a whole number, but for rounding, of every draw: it is rounded to it.
        images: whether it needs the images.
    """

    name: str
    unit: str
    terms: tuple[Term, ...] | None
    whole: bool = False
    images: bool = False


@dataclass(frozen=True)
class Draw:
    """One draw of a batch, for the columns that a format computes itself.

    Attributes:
        pipeline: what drew it.
        params: the parameters of every view, by view and `op.parameter`, `(B,)` float64 each.
        size: height and width of the source images, one number for all or `(B,)` float64 each.
        images: `(B, C, H, W)`, or None.
        views: all the views that are being written.
        group: those that this vector is about: one, or two.
    """

    pipeline: Pipeline
    params: Mapping[str, Mapping[str, Tensor]]
    size: tuple[float | Tensor, float | Tensor]
    images: Tensor | None
    views: tuple[ViewPlan, ...]
    group: tuple[ViewPlan, ...]


class Format(ABC):
    """A published format: subclasses are frozen dataclasses, whose fields are its options.

    A module of this package that defines a subclass with a name is found automatically.
    """

    name: ClassVar[str]
    """By what name it is asked for."""

    title: ClassVar[str]
    """What it is, in a line."""

    paper: ClassVar[str]
    """Who published it."""

    code: ClassVar[str]
    """The files of the official code that it follows, with their commit."""

    kind: ClassVar[Kind]
    """What one vector describes."""

    @abstractmethod
    def columns(self, group: tuple[ViewPlan, ...]) -> tuple[FormatColumn, ...]:
        """The columns of the vector about these views: one view, or two.

        Raises:
            FormatError: a view cannot be written in this format.
        """

    def computed(self, draw: Draw) -> dict[str, Tensor]:
        """The columns that have no terms, `(B,)` float64 each, by name."""
        return {}

    def groups(self, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """The groups of views that there is a vector about, in order.

        Raises:
            FormatError: the format is about two views, and there are fewer.
        """
        if self.kind == "view":
            return tuple((name,) for name in names)
        if len(names) < 2:
            raise FormatError(
                f"format {self.name} compares two views, and there are not two "
                f"(views with columns: {', '.join(names) or 'none'})"
            )
        if self.kind == "pair":
            return tuple(itertools.permutations(names, 2))
        return tuple(itertools.pairwise(names))

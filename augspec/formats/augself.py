"""The difference of two views that AugSelf's official code predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from augspec.compiler.plan import Step, ViewPlan
from augspec.formats.contract import Draw, Format, FormatColumn, Kind, Term
from augspec.formats.match import alike, match
from augspec.formats.parts import JITTER, alone, centre_x, factor, minus, plus, sigma, strength

if TYPE_CHECKING:
    from torch import Tensor

KNOWN = (
    "resized_crop",
    "horizontal_flip",
    "color_jitter",
    "solarize",
    "grayscale",
    "gaussian_blur",
    "rotate90",
)


@dataclass(frozen=True)
class AugSelf(Format):
    """The first view's parameters minus the second's, as the released code takes them.

    The columns stand in the order of its objective: crop 4, color 4, flip 1, blur 1, rot 1, sol 1,
    as far as the views have the ops; grayscale has none.

    Attributes:
        mirror: by which flip the released code mirrors the centres of the two boxes: both by the
            first view's (`first`), which is a slip, or each by its own (`own`).
    """

    name: ClassVar[str] = "augself"
    title: ClassVar[str] = "AugSelf's targets: the first view's parameters minus the second's"
    paper: ClassVar[str] = "Lee et al., AugSelf, NeurIPS 2021, arXiv 2111.09613"
    code: ClassVar[str] = (
        "hankook/AugSelf 6dd5ed8, transforms.py (extract_diff), trainers.py (SSObjective)"
    )
    kind: ClassVar[Kind] = "pair"

    mirror: Literal["first", "own"] = "first"

    def columns(self, group: tuple[ViewPlan, ...]) -> tuple[FormatColumn, ...]:
        """See `Format.columns`."""
        both = [match(v, self.name, KNOWN, KNOWN[:2], ordered=False) for v in group]
        alike(self.name, group, both)
        steps = {tag: (step, both[1][tag]) for tag, step in both[0].items()}
        columns = self._crop(*steps["resized_crop"], *steps["horizontal_flip"])
        if "color_jitter" in steps:
            first, second = steps["color_jitter"]
            columns += [
                FormatColumn(
                    f"color.{name}",
                    "width of its range",
                    minus(strength(first, name, self.name), strength(second, name, self.name, 1)),
                )
                for name in JITTER
            ]
        columns.append(FormatColumn("flip", "1 where alike", _alike(*steps["horizontal_flip"])))
        if "gaussian_blur" in steps:
            crops, blurs = steps["resized_crop"], steps["gaussian_blur"]
            terms = minus(sigma(crops[0], blurs[0]), sigma(crops[1], blurs[1], 1))
            columns.append(FormatColumn("blur", "pixel", terms))
        if "rotate90" in steps:
            columns.append(FormatColumn("rot", "quarter turn, 0 to 3", None))
        if "solarize" in steps:
            first, second = steps["solarize"]
            terms = minus(_threshold(first, 0), _threshold(second, 1))
            columns.append(FormatColumn("sol", "intensity", terms))
        return tuple(columns)

    def _crop(self, first: Step, second: Step, flip: Step, other_flip: Step) -> list[FormatColumn]:
        """Centre and size of the first box minus those of the second."""
        if self.mirror == "first":
            across = minus(centre_x(first, flip), centre_x(second, flip, 1, 0))
        else:
            across = minus(centre_x(first, flip), centre_x(second, other_flip, 1, 1))

        def column(name: str, unit: str) -> FormatColumn:
            return FormatColumn(
                f"crop.{name}", unit, minus(alone(first, name), alone(second, name, 1))
            )

        return [
            column("center_y", "source height"),
            FormatColumn("crop.center_x", "source width", across),
            column("height", "source height"),
            column("width", "source width"),
        ]

    def computed(self, draw: Draw) -> dict[str, Tensor]:
        """The quarter turns of the first view beyond those of the second, modulo four."""
        first, second = (_quarters(draw, view) for view in draw.group)
        return {} if first is None or second is None else {"rot": (first - second) % 4}


def _alike(first: Step, second: Step) -> tuple[Term, ...]:
    """1 where both views are flipped, or neither: 1 - a - b + 2ab."""
    a, b = factor(first, "flip"), factor(second, "flip", 1)
    return Term(1.0), Term(-1.0, (a,)), Term(-1.0, (b,)), Term(2.0, (a, b))


def _threshold(solarize: Step, view: int) -> tuple[Term, ...]:
    """The threshold, which is 1 where the op is off."""
    return plus(1.0, minus(alone(solarize, "threshold", view), alone(solarize, "on", view)))


def _quarters(draw: Draw, view: ViewPlan) -> Tensor | None:
    """How many quarter turns a view makes, `(B,)`; None if it has no such op."""
    for step in view.steps:
        if step.op.tag() == "rotate90":
            return (draw.params[view.name][step.key("angle")] * 4).round() % 4
    return None

"""The vector of EquiMod's official code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from augspec.compiler.plan import Step, ViewPlan
from augspec.encoding.codecs import Linear
from augspec.formats.codecs import Positions, Switched
from augspec.formats.contract import Factor, Format, FormatColumn, Kind, Term
from augspec.formats.match import match
from augspec.formats.parts import alone, factor, plus, shorter_side

KNOWN = (
    "resized_crop",
    "horizontal_flip",
    "color_jitter",
    "grayscale",
    "gaussian_blur",
    "solarize",
)

BIT = "0 or 1"


@dataclass(frozen=True)
class EquiMod(Format):
    """All parameters of a view as they are drawn: 15 columns, 2 more for a blur, 1 for solarize."""

    name: ClassVar[str] = "equimod"
    title: ClassVar[str] = "EquiMod's vector: the parameters of one view, as drawn"
    paper: ClassVar[str] = "Devillers and Lefort, EquiMod, ICLR 2023, arXiv 2211.01244"
    code: ClassVar[str] = (
        "ADevillers/EquiMod, src/transforms.py: 908c7b4 (SimCLR, 15 and 17 columns), "
        "5c936cf (BYOL, 18 columns)"
    )
    kind: ClassVar[Kind] = "view"

    def columns(self, group: tuple[ViewPlan, ...]) -> tuple[FormatColumn, ...]:
        """See `Format.columns`."""
        (view,) = group
        return columns_of(view, self.name)


def columns_of(view: ViewPlan, form: str) -> tuple[FormatColumn, ...]:
    """The columns of a view.

    Args:
        view: the view.
        form: the name of the format that wants them, for messages.

    Raises:
        FormatError: the view cannot be written.
    """
    steps = match(view, form, KNOWN, KNOWN[:4], ordered=True)
    crop, flip, jitter, gray = (steps[tag] for tag in KNOWN[:4])
    columns = [
        *_box(crop),
        FormatColumn("flip", BIT, alone(flip, "flip")),
        FormatColumn("jitter", BIT, (Term(1.0, (Factor(jitter.id, None, Linear()),)),)),
        *_order(jitter),
        *(
            FormatColumn(name, "factor", plus(1.0, alone(jitter, name)))
            for name in ("brightness", "contrast", "saturation")
        ),
        FormatColumn("hue", "turn", alone(jitter, "hue")),
        FormatColumn("grayscale", BIT, alone(gray, "gray")),
    ]
    if "gaussian_blur" in steps:
        columns += _blur(crop, steps["gaussian_blur"])
    if "solarize" in steps:
        columns.append(FormatColumn("solarize", BIT, alone(steps["solarize"], "on")))
    return tuple(columns)


def _box(crop: Step) -> list[FormatColumn]:
    """The box's corner and size in whole pixels of the source image."""
    sides: tuple[tuple[str, Literal[0, 1]], ...] = (("height", 0), ("width", 1))
    corners, extents = [], []
    for (name, side), corner, centre in zip(
        sides, ("top", "left"), ("center_y", "center_x"), strict=True
    ):
        size = factor(crop, name)
        start = Term(1.0, (factor(crop, centre),), side), Term(-0.5, (size,), side)
        extent = Term(1.0, (), side), Term(1.0, (size,), side)
        corners.append(FormatColumn(corner, "source pixel", start, whole=True))
        extents.append(FormatColumn(name, "source pixel", extent, whole=True))
    return [*corners, *extents]


def _order(jitter: Step) -> list[FormatColumn]:
    """Which step comes first, second ...: 0 brightness, 1 contrast, 2 saturation, 3 hue."""
    moved = [Factor(jitter.id, "order", Positions(4), k) for k in range(4)]
    return [
        FormatColumn(f"op_{k + 1}", "step number", plus(k, [Term(1.0, (moved[k],))]), whole=True)
        for k in range(4)
    ]


def _blur(crop: Step, blur: Step) -> list[FormatColumn]:
    """Whether it acts, and sigma in pixels of the view, 0 where it does not."""
    on, sigma = (Factor(blur.id, "sigma", Switched(), k) for k in (0, 1))
    return [
        FormatColumn("blur", BIT, (Term(1.0, (on,)),)),
        FormatColumn("sigma", "pixel", (Term(shorter_side(crop), (sigma,)),)),
    ]

"""The description of one view on which CASSLE conditions its projector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from augspec.compiler.plan import Step, ViewPlan
from augspec.formats.augself import KNOWN  # its code is a fork of AugSelf's
from augspec.formats.contract import Draw, Format, FormatColumn, FormatError, Kind
from augspec.formats.match import match
from augspec.formats.parts import JITTER, alone, centre_x, plus, sigma, strength

if TYPE_CHECKING:
    from torch import Tensor

Key: TypeAlias = Literal["blur", "color", "color_diff", "crop", "flip", "grayscale"]

NEEDS: dict[str, str] = {
    "blur": "gaussian_blur",
    "color": "color_jitter",
    "color_diff": "color_jitter",
    "crop": "resized_crop",
    "flip": "horizontal_flip",
    "grayscale": "grayscale",
}
"""The keys that the code can condition on, sorted as it sorts them, each with its op."""

PUBLISHED: tuple[Key, ...] = ("blur", "color", "color_diff", "crop", "grayscale")
"""The keys of the command in the README."""


@dataclass(frozen=True)
class Cassle(Format):
    """One view's parameters by sorted key: blur 1, color 4, color_diff 3, crop 4, grayscale 1.

    Solarize and quarter turns leave no trace in it.

    Attributes:
        keys: which of them, in any order; `flip` is possible too. If None, those of the published
            command, as far as the view has the ops.
    """

    name: ClassVar[str] = "cassle"
    title: ClassVar[str] = "CASSLE's description of one view, and of what its jitter did"
    paper: ClassVar[str] = "Przewiezlikowski et al., CASSLE, 2023, arXiv 2306.06082"
    code: ClassVar[str] = (
        "mprzewie/AugSelf, transforms.py (extract_aug_descriptors) 0e55f0f, cond_utils.py 05a7c50, "
        "trainers_cond.py 152b046; the command: gmum/CASSLE, README.md 5edd641"
    )
    kind: ClassVar[Kind] = "view"

    keys: tuple[Key, ...] | None = None

    def __post_init__(self) -> None:
        for key in self.keys or ():
            if key not in NEEDS:
                raise FormatError(f"format cassle has no key {key!r} (keys: {', '.join(NEEDS)})")

    def columns(self, group: tuple[ViewPlan, ...]) -> tuple[FormatColumn, ...]:
        """See `Format.columns`."""
        (view,) = group
        steps = match(view, self.name, KNOWN, KNOWN[:1], ordered=False)
        columns: list[FormatColumn] = []
        for key in self._keys(view, steps):
            columns += self._columns(key, steps)
        return tuple(columns)

    def _keys(self, view: ViewPlan, steps: Mapping[str, Step]) -> list[Key]:
        """The keys in the order of their columns."""
        if self.keys is None:
            return [key for key in PUBLISHED if NEEDS[key] in steps]
        for key in self.keys:
            if key != "flip" and NEEDS[key] not in steps:
                raise FormatError(
                    f"format cassle: key {key!r} needs {NEEDS[key]}, which view {view.name} does "
                    "not have"
                )
        return sorted(set(self.keys))

    def _columns(self, key: Key, steps: Mapping[str, Step]) -> list[FormatColumn]:
        """The columns of one key."""
        crop, flip = steps["resized_crop"], steps.get("horizontal_flip")
        if key == "crop":
            return _crop(crop, flip)
        if key == "flip":
            terms = () if flip is None else alone(flip, "flip")
            return [FormatColumn("flip", "0 or 1", terms)]
        own = steps[NEEDS[key]]
        if key == "blur":
            return [FormatColumn("blur", "pixel", sigma(crop, own))]
        if key == "color":
            return [
                FormatColumn(f"color.{n}", "width of its range", strength(own, n, self.name))
                for n in JITTER
            ]
        if key == "color_diff":
            return [
                FormatColumn(f"color_diff.{k}", "intensity", None, images=True) for k in range(3)
            ]
        return [FormatColumn("grayscale", "0 or 1", alone(own, "gray"))]

    def computed(self, draw: Draw) -> dict[str, Tensor]:
        """The mean of each channel that reaches the jitter, minus that of what leaves it."""
        (view,) = draw.group
        index = [step.op.tag() for step in view.steps].index("color_jitter")
        before, after = (_rendered(draw, view, count) for count in (index, index + 1))
        difference = before.mean(dim=(-2, -1)) - after.mean(dim=(-2, -1))
        channels = difference.expand(-1, 3).double()  # one of a gray image stands for all
        return {f"color_diff.{k}": channels[:, k] for k in range(3)}


def _crop(crop: Step, flip: Step | None) -> list[FormatColumn]:
    """Centre, mirrored where the view is, and size of the box."""
    down, across = alone(crop, "center_y"), centre_x(crop, flip)
    return [
        FormatColumn("crop.center_y", "source height", plus(0.5, down)),
        FormatColumn("crop.center_x", "source width", plus(0.5, across)),
        FormatColumn("crop.height", "source height", plus(1.0, alone(crop, "height"))),
        FormatColumn("crop.width", "source width", plus(1.0, alone(crop, "width"))),
    ]


def _rendered(draw: Draw, view: ViewPlan, count: int) -> Tensor:
    """The images after the first `count` steps of a view, in [0, 1]."""
    from augspec.compiler.pipeline import Pipeline

    assert draw.images is not None
    part = replace(view, steps=view.steps[:count])
    plan = replace(draw.pipeline.plan, normalize=None, views=(part,))
    params = {view.name: draw.params[view.name]}
    return Pipeline(plan).apply(draw.images, params)[view.name]

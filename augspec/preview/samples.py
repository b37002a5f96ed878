"""What a spec makes of images, ready to be drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from augspec.compiler.pipeline import Pipeline
from augspec.compiler.plan import Plan, ViewPlan, make_plan
from augspec.encoding.layout import Slot
from augspec.language.spec import Spec
from augspec.ops.contract import Op, Size
from augspec.ops.parameter import Parameter
from augspec.preview.pictures import Picture, to_image, to_tensor
from augspec.preview.words import acting


@dataclass(frozen=True)
class Column:
    """One column of one sample's code.

    Attributes:
        name: its name in the layout.
        slot: the slot that it belongs to.
        value: the sample's value.
        most: the largest absolute value that a draw can give; 0 where it is always 0.
    """

    name: str
    slot: Slot
    value: float
    most: float

    @property
    def level(self) -> float:
        """The value relative to the column's own range, in [-1, 1]."""
        return max(-1.0, min(1.0, self.value / self.most)) if self.most else 0.0


@dataclass(frozen=True)
class Sample:
    """One view of one image.

    Attributes:
        view: the view's name.
        image: the view, not normalised.
        acts: the ops that act, each with its parameters in words.
        code: the columns of its code.
    """

    view: str
    image: Image.Image
    acts: tuple[tuple[str, str], ...]
    code: tuple[Column, ...]


@dataclass(frozen=True)
class Row:
    """All views of one image.

    Attributes:
        picture: the image.
        samples: its views, in the order of the plan.
    """

    picture: Picture
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Preview:
    """What a spec makes of some images.

    Attributes:
        plan: the spec's plan.
        seed: of the draws.
        epoch: of the draws.
        rows: one for each image, or for each draw.
    """

    plan: Plan
    seed: int
    epoch: int
    rows: tuple[Row, ...]

    @property
    def shows_images(self) -> bool:
        """Whether the images need a place of their own, since no view shows them as they are."""
        return all(view.steps for view in self.plan.views)


def preview(
    spec: Spec, pictures: Sequence[Picture], *, seed: int = 0, epoch: int = 0, rows: int
) -> Preview:
    """Renders every view of images, which may have different sizes.

    Args:
        spec: the spec.
        pictures: the images, at least one; they begin anew, with other draws, where `rows` asks
            for more.
        seed: of the draws.
        epoch: of the draws.
        rows: how many rows; the id of the sample is the row's index.
    """
    plan = make_plan(spec)
    pipeline = unnormalized(plan, seed)
    found = []
    for index in range(rows):
        picture = pictures[index % len(pictures)]
        image = to_tensor(picture.image, plan.channels)
        batch = pipeline(image, ids=torch.tensor([index]), epoch=epoch)
        size: Size = (image.shape[-2], image.shape[-1])
        samples = (
            Sample(
                view.name,
                to_image(batch.views[view.name][0]),
                tuple(acts(view, batch.params[view.name], size)),
                tuple(columns(view, batch.codes[view.name][0], size)),
            )
            for view in plan.views
        )
        found.append(Row(picture, tuple(samples)))
    return Preview(plan, seed, epoch, tuple(found))


def unnormalized(plan: Plan, seed: int) -> Pipeline:
    """The pipeline of a plan without its normalisation, so that its views are images."""
    # a few images are not worth the wait for other kernels to be compiled
    return Pipeline(replace(plan, normalize=None), seed=seed, backend="eager")


def most(parameter: Parameter) -> list[float]:
    """For each column of a parameter, the largest absolute value that a draw can give."""
    if parameter.low is None or parameter.high is None or not parameter.codec.width:
        return [1.0] * parameter.codec.width
    if parameter.codec.name == "order":
        return [1.0] * parameter.codec.width
    grid = torch.linspace(parameter.low, parameter.high, 257, dtype=torch.float64)
    limits: list[float] = parameter.codec.encode(grid).abs().amax(dim=0).tolist()
    return limits


def acts(view: ViewPlan, params: Mapping[str, Tensor], size: Size) -> Iterator[tuple[str, str]]:
    """The ops that act on the one sample of these parameters, each with its parameters in words."""
    for step, at in view.placed(size):
        own = {name: float(params[step.key(name)][0]) for name in step.parameters}
        yield from acting(step.id, step.op, own, changed(step.op, own, at), at)


def changed(op: Op, params: Mapping[str, float], size: Size) -> dict[str, bool]:
    """For each parameter of one sample, whether it differs from its identity."""
    return {p.name: params[p.name] != p.identity for p in op.parameters(size)}


def columns(view: ViewPlan, code: Tensor, size: Size) -> Iterator[Column]:
    """The columns of one sample's code `(E,)`, for an image of this size."""
    parameters = (p for step, at in view.placed(size) for p in step.op.parameters(at))
    limits = [limit for parameter in parameters for limit in most(parameter)]
    for slot in view.layout.slots:
        for k, name in enumerate(slot.columns, start=slot.start):
            yield Column(name, slot, float(code[k]), limits[k])

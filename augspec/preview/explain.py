"""One image, what a spec makes of it step by step, and each number of its codes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import torch
from PIL import Image
from torch import Tensor

from augspec.codes.moments import moments
from augspec.codes.statistics import ColumnStatistics
from augspec.compiler.pipeline import Pipeline
from augspec.compiler.plan import Plan, ViewPlan, make_plan
from augspec.encoding.codecs import Motion, Order
from augspec.encoding.layout import Layout, Slot
from augspec.language.spec import Spec
from augspec.ops.contract import Size
from augspec.ops.parameter import Parameter
from augspec.ops.sequence import Sequence
from augspec.preview.nodes import Node, children, root, walk
from augspec.preview.outline import WHOLE, Corners, corners
from augspec.preview.pictures import Picture, to_image, to_tensor
from augspec.preview.samples import Column, acts, columns, unnormalized
from augspec.preview.words import ordered, steps, value_words

DRAWS = 2**13
"""How many samples are drawn for the moments of columns that have no exact ones."""

LONG = 60
"""Columns from which a code is shown in two parts: all of it small, and what is not zero."""


@dataclass(frozen=True)
class Frame:
    """The image after one op.

    Attributes:
        node: the op.
        words: its parameters in words; empty if it has none, or did nothing.
        acts: whether it changed this image, its size included.
        image: the image that left it.
    """

    node: Node
    words: str
    acts: bool
    image: Image.Image


@dataclass(frozen=True)
class Entry:
    """One slot of the layout, with what this sample has in it.

    Attributes:
        slot: the slot.
        parameter: the parameter that it encodes.
        node: the op that has the parameter.
        motion: how the parameter goes from its identity to its value.
        value: the sample's parameter.
        words: that in words; for an order, the steps that do anything.
        columns: its columns of the code.
    """

    slot: Slot
    parameter: Parameter
    node: Node
    motion: Motion
    value: float
    words: str
    columns: tuple[Column, ...]

    @property
    def is_zero(self) -> bool:
        """Whether the sample has the identity here."""
        return not any(column.value for column in self.columns)

    @property
    def jumps(self) -> bool:
        """Whether the parameter jumps from one value to another, with nothing in between."""
        return self.motion in ("jumps", "follows") and not self.slot.differentiable

    @property
    def can_act(self) -> bool:
        """Whether any draw gives anything else."""
        return any(column.most for column in self.columns)


@dataclass(frozen=True)
class Story:
    """One view of the image.

    Attributes:
        plan: the view's plan.
        image: the view, not normalised.
        frames: the image after each op of the view; of a combinator, after each op that acted.
        choices: what combinators decided, by their paths.
        idle: the ops inside combinators that did nothing.
        entries: the slots in the order of their columns.
        corners: where the view's corners come from, if it is cut out of one place of the image.
        moments: mean and standard deviation of each column; None if there are none.
        seeds: the parameters that are no part of the code.
        replays: whether the views rendered from the code are the same, bit for bit.
    """

    plan: ViewPlan
    image: Image.Image
    frames: tuple[Frame, ...]
    choices: tuple[tuple[str, str], ...]
    idle: tuple[str, ...]
    entries: tuple[Entry, ...]
    corners: Corners | None
    moments: ColumnStatistics | None
    seeds: tuple[str, ...]
    replays: bool

    @property
    def layout(self) -> Layout:
        """What the columns of the view's code are."""
        return self.plan.layout

    @property
    def cuts(self) -> bool:
        """Whether the view is known to show another part of the image, or to turn it."""
        if self.corners is None:
            return False
        ends = zip(self.corners, WHOLE, strict=True)
        return any(abs(a - b) > 1e-6 for p, q in ends for a, b in zip(p, q, strict=True))

    @property
    def code(self) -> tuple[Column, ...]:
        """The view's code."""
        return tuple(column for entry in self.entries for column in entry.columns)


@dataclass(frozen=True)
class Explanation:
    """What a spec makes of one image.

    Attributes:
        spec: the spec.
        plan: its plan.
        picture: the image.
        seed: of the draws.
        epoch: of the draws.
        sample: the id by which the image is known to them.
        stories: the views that are shown.
    """

    spec: Spec
    plan: Plan
    picture: Picture
    seed: int
    epoch: int
    sample: int
    stories: tuple[Story, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the image as a batch, `(1, C, H, W)`."""
        return (1, self.plan.channels, self.picture.image.height, self.picture.image.width)


def explain(
    spec: Spec,
    picture: Picture,
    *,
    views: Collection[str] | None = None,
    seed: int = 0,
    epoch: int = 0,
    sample: int = 0,
    draws: int = DRAWS,
) -> Explanation:
    """Renders the views of one image, step by step.

    Args:
        spec: the spec.
        picture: the image.
        views: which views; all of them if None.
        seed: of the draws.
        epoch: of the draws.
        sample: the id by which the image is known to them.
        draws: how many samples are drawn for the moments of columns that have no exact ones.
    """
    plan = make_plan(spec)
    chosen = tuple(view for view in plan.views if views is None or view.name in views)
    pipeline = unnormalized(replace(plan, views=chosen), seed)
    image = to_tensor(picture.image, plan.channels)
    picture = replace(picture, image=to_image(image[0].float() / 255))  # gray, if the spec's are
    batch = pipeline(image, ids=torch.tensor([sample]), epoch=epoch)
    again = pipeline.apply(image, pipeline.decode(batch.codes, batch.seeds, strict=None))
    size: Size = (image.shape[-2], image.shape[-1])
    known = _moments(spec, size, draws)
    stories = tuple(
        _story(
            pipeline,
            view,
            image,
            batch.params[view.name],
            batch.codes[view.name][0],
            bool((again[view.name] == batch.views[view.name]).all()),
            known(view),
        )
        for view in chosen
    )
    return Explanation(spec, plan, picture, seed, epoch, sample, stories)


def _moments(spec: Spec, size: Size, draws: int) -> Callable[[ViewPlan], ColumnStatistics | None]:
    """The moments of a view's columns over images of this size, those of equal views found once."""
    known: dict[str, ColumnStatistics] = {}

    def find(view: ViewPlan) -> ColumnStatistics | None:
        if not view.layout.width:
            return None
        key = repr([step.op for step in view.steps])
        if key not in known:
            known[key] = moments(spec, views=[view.name], sizes=[size], draws=draws)
        return known[key]

    return find


def _story(
    pipeline: Pipeline,
    view: ViewPlan,
    image: Tensor,
    params: Mapping[str, Tensor],
    code: Tensor,
    replays: bool,
    moments: ColumnStatistics | None,
) -> Story:
    size: Size = (image.shape[-2], image.shape[-1])
    roots = [root(step, params, at) for step, at in view.placed(size)]
    said = dict(acts(view, params, size))
    found = [node for own in roots for node in walk(own)]
    frames, x = list[Frame](), image.float() / 255
    for own in roots:
        for node, rendered in _renderings(own, x, said):
            x = rendered
            changes = node.path in said or node.size_after != node.size
            frames.append(Frame(node, said.get(node.path, ""), changes, to_image(x[0])))
    shown = {frame.node.path for frame in frames}
    return Story(
        plan=view,
        image=to_image(x[0]),
        frames=tuple(frames),
        choices=tuple((n.path, said[n.path]) for n in found if not n.is_leaf and n.path in said),
        idle=tuple(n.path for n in found if n.is_leaf and n.path not in shown),
        entries=tuple(_entries(view, params, columns(view, code, size), found)),
        corners=corners(pipeline.plan, view.name, params, size),
        moments=moments,
        seeds=tuple(step.key(name) for step in view.steps for name in step.seeds),
        replays=replays,
    )


def _renderings(node: Node, x: Tensor, acting: Collection[str]) -> Iterator[tuple[Node, Tensor]]:
    """The image after an op; or, if that leads others, after each op in it that acts.

    The ops of a combinator may be blended, and so cannot be run one by one: the combinator is run
    again and again, with one more of its ops not held at its identity.
    """
    if isinstance(node.op, Sequence):
        for child in children(node):
            for found, rendered in _renderings(child, x, acting):
                yield found, rendered
                x = rendered
        return
    leaves = [n for n in walk(node) if n.is_leaf and (n is node or n.path in acting)]
    if not leaves:
        yield node, x
    for k, leaf in enumerate(leaves):
        params = dict(node.params)
        for later in leaves[k + 1 :]:
            prefix = later.path.removeprefix(f"{node.path}.")
            params |= {f"{prefix}.{name}": v for name, v in later.at_identity().items()}
        yield leaf, node.op.apply(x, params)


def _entries(
    view: ViewPlan, params: Mapping[str, Tensor], code: Iterator[Column], found: Iterable[Node]
) -> Iterator[Entry]:
    by_path = {node.path: node for node in found}
    motions = {step.key(k): way for step in view.steps for k, way in step.op.motions().items()}
    for slot in view.layout.slots:
        node = by_path[slot.op]
        parameter = next(p for p in node.op.parameters(node.size) if p.name == slot.parameter)
        value = float(params[slot.name][0])
        own = tuple(islice(code, len(slot.columns)))
        words = _words(node, parameter, value, own)
        yield Entry(slot, parameter, node, motions[slot.name], value, words, own)


def _words(node: Node, parameter: Parameter, value: float, code: tuple[Column, ...]) -> str:
    """A parameter in words; an order is that of the steps that do anything."""
    codec = parameter.codec
    if not isinstance(codec, Order):
        return value_words(parameter, value, node.size)
    pairs = zip(codec.pairs, code, strict=True)
    seen = {step for pair, column in pairs if column.value for step in pair}
    names = steps(node.op)
    return " > ".join(n for n in ordered(names, codec, value) if names.index(n) in seen)

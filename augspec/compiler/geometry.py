"""Where a view's pixels come from: its geometric ops as elements of the group of projective maps.

A view's ops are taken apart where they act in the order in which they are listed: a `sequence`, a
`maybe` or a `one_of` is its ops, one after the other, of which those that do not act have the
identity's parameters. What is left are single ops, and groups in an order drawn for each sample. A
maximal run of those that are geometric, with nothing else between, has one exact matrix
(`geometry`). Ops that are not geometric leave every pixel in its place, and so the maps of all runs
make the map of the whole view (`view_matrix`), but for those that bend the image (`elastic`,
`thin_plate_spline`, and `mix` where it blends displaced images): no matrix describes these, and
`straight` tells where they do nothing.

All matrices are float64 in normalised coordinates (see `augspec.kernels.group`), on the device of
the parameters, and differentiable in them. Nothing makes the host wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from augspec.compiler.plan import Plan, ViewPlan
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Incoming, Move, Op, Size
from augspec.ops.mix import Mix

if TYPE_CHECKING:
    from torch import Tensor

    from augspec.compiler.pipeline import Pipeline


@dataclass(frozen=True)
class Run:
    """Geometric ops of a view that act one after the other, with nothing else between.

    Attributes:
        ops: their ids, such as `resized_crop`, or `one_of.rotate` for one inside a combinator.
        before: the size of the images that reach the first, where it is known.
        after: the size of those that leave the last, where it is known.
    """

    ops: tuple[str, ...]
    before: Size | None
    after: Size | None

    @property
    def first(self) -> str:
        """The id of the op that acts first."""
        return self.ops[0]

    @property
    def last(self) -> str:
        """The id of the op that acts last."""
        return self.ops[-1]


@dataclass(frozen=True)
class Element:
    """What one draw makes of a run.

    Attributes:
        run: which ops these are, with the sizes of these very images.
        matrix: `(B, 3, 3)` float64, from points of the images that reach the run to points of
            those that leave it.
    """

    run: Run
    matrix: Tensor


def runs(view: ViewPlan, size: Size | None = None) -> tuple[Run, ...]:
    """The maximal geometric runs of a view, in the order in which they act.

    Args:
        view: the view's plan.
        size: height and width of the images that come in, where they are known.
    """
    return tuple(_run(atoms) for atoms in _geometric(view, size))


def geometry(
    source: Plan | Pipeline,
    params: Mapping[str, Tensor],
    size: Size,
    *,
    view: str,
    batch: int = 1,
) -> tuple[Element, ...]:
    """The group element of each maximal geometric run of a view.

    Args:
        source: a plan, or a pipeline.
        params: the view's parameters by `op.parameter`, `(B,)` each; others are ignored, but for
            telling B and the device.
        size: height and width of the images that come in.
        view: the view's name.
        batch: B, where there are no parameters at all.

    Raises:
        KeyError: an unknown view, or a parameter is missing.
    """
    plan = view_plan(source, view)
    draw = _Draw(plan, params, batch)
    return tuple(
        Element(_run(atoms), product(draw.moves(atoms), draw.still))
        for atoms in _geometric(plan, size)
    )


def moves(
    source: Plan | Pipeline,
    params: Mapping[str, Tensor],
    size: Size,
    *,
    view: str,
    batch: int = 1,
) -> list[Move]:
    """The maps by which the view's ops move pixels, one after the other; see `geometry`.

    They are those of all runs, and of geometric ops that stand in a random order with others.

    Returns:
        For each, its matrix `(B, 3, 3)`, and the size of the images that come out.
    """
    plan = view_plan(source, view)
    return _Draw(plan, params, batch).moves(_atoms(plan, size))


def view_matrix(
    source: Plan | Pipeline,
    params: Mapping[str, Tensor],
    size: Size,
    *,
    view: str,
    batch: int = 1,
) -> Tensor:
    """The map from points of the incoming images to points of the view, `(B, 3, 3)`.

    Ops that bend the image are left out of it (see `straight`). Arguments as those of `geometry`.
    """
    plan = view_plan(source, view)
    draw = _Draw(plan, params, batch)
    return product(draw.moves(_atoms(plan, size)), draw.still)


def product(moves: list[Move], still: Tensor) -> Tensor:
    """The map that does all of these, one after the other; `still` where there is none."""
    from augspec.kernels.group import compose

    matrix = still
    for number, (step, _) in enumerate(moves):
        matrix = compose(step, matrix) if number else step
    return matrix


def straight(
    source: Plan | Pipeline, params: Mapping[str, Tensor], *, view: str, batch: int = 1
) -> Tensor:
    """Which samples no op bends, so that `view_matrix` says all of their geometry: `(B,)` bool."""
    plan = view_plan(source, view)
    draw = _Draw(plan, params, batch)
    bent = draw.still[:, 0, 0] == 0
    for step in plan.steps:
        for path, op in _bending(step.id, step.op):
            bent = bent | op.active(draw.own(path, op))
    return ~bent


def bending(view: ViewPlan) -> tuple[str, ...]:
    """The ids of the view's ops that bend the image."""
    return tuple(path for step in view.steps for path, _ in _bending(step.id, step.op))


def mapped(view: ViewPlan) -> frozenset[str]:
    """The ids of the ops whose columns of the code say nothing that `view_matrix` does not."""
    return frozenset(path for step in view.steps for path, _ in _mapped(step.id, step.op))


def geometric_ops(view: ViewPlan) -> tuple[tuple[str, Op], ...]:
    """The geometric ops of a view with their ids, combinators taken apart."""
    found = (pair for step in view.steps for pair in _mapped(step.id, step.op))
    return tuple((path, op) for path, op in found if not isinstance(op, Combinator))


def view_plan(source: Plan | Pipeline, view: str) -> ViewPlan:
    """The plan of a view.

    Raises:
        KeyError: there is no such view.
    """
    plan = source if isinstance(source, Plan) else source.plan
    return plan.view(view)


@dataclass(frozen=True)
class Atom:
    """An op, or ops in random order: what stays together when a view is taken apart.

    Attributes:
        path: its id, such as `rotate`, or `one_of.rotate` for one inside a combinator.
        op: the op.
        before: what is known of the images that reach it.
    """

    path: str
    op: Op
    before: Incoming

    @property
    def after(self) -> Incoming:
        """What is known of the images that leave it."""
        return self.op.outgoing(self.before)

    def leaves(self) -> list[tuple[str, Op]]:
        """The ops that render, with their ids: itself, or those in random order."""
        return [(f"{self.path}.{name}".rstrip("."), op) for name, op, _ in self.op.rendered]


def _atoms(view: ViewPlan, size: Size | None) -> Iterator[Atom]:
    for step, before in view.placed(size):
        yield from taken_apart(step.id, step.op, Incoming(before))


def taken_apart(path: str, op: Op, before: Incoming) -> Iterator[Atom]:
    """The atoms of an op: itself, or what is in a combinator whose ops act in order."""
    if not isinstance(op, Combinator) or not op.in_order:
        yield Atom(path, op, before)
        return
    for name, child in op.children:
        yield from taken_apart(f"{path}.{name}", child, before)
        before = child.outgoing(before)


def _run(atoms: Sequence[Atom]) -> Run:
    return Run(tuple(atom.path for atom in atoms), atoms[0].before.size, atoms[-1].after.size)


def _geometric(view: ViewPlan, size: Size | None) -> list[list[Atom]]:
    """The atoms of each run."""
    groups = groupby(_atoms(view, size), key=lambda atom: atom.op.geometric)
    return [list(atoms) for geometric, atoms in groups if geometric]


def _mapped(path: str, op: Op) -> Iterator[tuple[str, Op]]:
    if op.geometric:
        yield path, op
    if isinstance(op, Combinator) and not isinstance(op, Mix):
        for name, child in op.children:
            yield from _mapped(f"{path}.{name}", child)


def _bending(path: str, op: Op) -> Iterator[tuple[str, Op]]:
    if isinstance(op, Combinator) and not isinstance(op, Mix):
        for name, child in op.children:
            yield from _bending(f"{path}.{name}", child)
    elif op.bends:
        yield path, op


class _Draw:
    """The canonical parameters of one draw of a view, op by op."""

    def __init__(self, view: ViewPlan, params: Mapping[str, Tensor], batch: int) -> None:
        import torch

        for step in view.steps:
            missing = [key for key in map(step.key, step.parameters) if key not in params]
            if missing:
                raise KeyError(f"parameter {missing[0]!r} of view {view.name!r} is missing")
        self._view, self._drawn = view, params
        known = next(iter(params.values()), None)
        self._batch = batch if known is None else len(known)
        self._device = torch.device("cpu") if known is None else known.device
        eye = torch.eye(3, dtype=torch.float64, device=self._device)
        self.still = eye.expand(self._batch, 3, 3)

    @cached_property
    def _params(self) -> dict[str, Tensor]:
        """All parameters in canonical form, once some op is asked for its own."""
        found: dict[str, Tensor] = {}
        for step in self._view.steps:
            own = {name: self._drawn[step.key(name)] for name in step.parameters}
            canonical = step.op.canonical(own) if own else {}
            found |= {step.key(name): value for name, value in canonical.items()}
        return found

    def own(self, path: str, op: Op) -> dict[str, Tensor]:
        """The parameters of the op with this id."""
        return {p.name: self._params[f"{path}.{p.name}"] for p in op.parameters()}

    def moves(self, atoms: Iterable[Atom]) -> list[Move]:
        """The maps of ops that act one after the other."""
        import torch

        found: list[Move] = []
        # an op without parameters does not know where the others live; and copying what it makes
        # to a GPU would make the host wait
        with torch.device(self._device):
            for atom in atoms:
                assert atom.before.size is not None
                own = self.own(atom.path, atom.op)
                found += atom.op.moves(own, atom.before.size, self._batch)
        return found

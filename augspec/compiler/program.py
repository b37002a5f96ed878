"""The program of a fused stage: what the fused kernels do to each sample, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from augspec.compiler.plan import Step
from augspec.compiler.schedule import Stage
from augspec.kernels.opcodes import ARGUMENTS, Filter
from augspec.ops.contract import Size
from augspec.ops.lowering import several_steps
from augspec.ops.sizes import Sizes, leaving


@dataclass(frozen=True)
class Program:
    """What a fused stage does to N samples, in S resamples and K steps.

    Attributes:
        hows: `(S, 2)` int64, the `Filter` of each resample, and whether it is antialiased.
        boxes: `(N, S, 4)` float64, top, bottom, left and right, in pixels of what comes in.
        targets: `(N, S, 2)` int64, height and width to which the box is resampled.
        windows: `(N, S, 2)` int64, the row and column of these at which the result begins.
        flips: `(N, S, 2)` int64, whether rows and columns are mirrored then.
        shapes: the height and width of each resample's result.
        codes: `(N, K)` int32, an `Opcode` for each step.
        arguments: `(N, K, 2)` float32.
    """

    hows: Tensor
    boxes: Tensor
    targets: Tensor
    windows: Tensor
    flips: Tensor
    shapes: tuple[Size, ...]
    codes: Tensor
    arguments: Tensor


Own = Mapping[str, Tensor]


def make_program(stage: Stage, params: Sequence[Own], sizes: Sizes, count: int) -> Program:
    """Makes the program of a stage.

    Args:
        stage: a fused stage.
        params: for each of its steps, the parameters, `(N,)` each.
        sizes: the size of the images that come in, or `(N, 2)`, that of each.
        count: N.
    """
    given = dict(zip((step.id for step in stage.steps), params, strict=True))
    parts: list[_Resample] = []
    for part in stage.resamples:
        parts.append(_Resample.of(part.steps, given, sizes, count))
        sizes = parts[-1].shape
    if not parts:
        parts.append(_Resample.of((), given, sizes, count))
    shape = parts[-1].shape
    chained = [step.op.steps(given[step.id], shape) for step in stage.chain]
    if chained:
        steps = several_steps(chained)
        codes, arguments = steps.codes, steps.arguments
    else:
        codes = torch.zeros(count, 0, dtype=torch.int32)
        arguments = torch.zeros(count, 0, ARGUMENTS)
    return Program(
        hows=torch.tensor([[part.how, part.antialias] for part in parts], dtype=torch.int64),
        boxes=torch.stack([part.box for part in parts], dim=1),
        targets=torch.stack([part.target for part in parts], dim=1),
        windows=torch.stack([part.window for part in parts], dim=1),
        flips=torch.stack([part.flips for part in parts], dim=1),
        shapes=tuple(part.shape for part in parts),
        codes=codes,
        arguments=arguments,
    )


@dataclass
class _Resample:
    """One resample of a program; see `Program`."""

    how: Filter
    antialias: bool
    box: Tensor
    target: Tensor
    window: Tensor
    flips: Tensor
    shape: Size

    @classmethod
    def of(
        cls, steps: Sequence[Step], given: Mapping[str, Own], sizes: Sizes, count: int
    ) -> _Resample:
        """A filter and the windows into its result, each seen through those before it."""
        sides = _each(sizes, count)
        box = torch.stack([sides[:, 0] * 0, sides[:, 0], sides[:, 1] * 0, sides[:, 1]], dim=1)
        found = cls(
            Filter.COPY, False, box.double(), sides, sides * 0, torch.zeros_like(sides), (0, 0)
        )
        for step in steps:
            sizes = found._add(step, given[step.id], sizes, count)
        assert isinstance(sizes, tuple), "the renderer takes no view that leaves sizes different"
        found.shape = sizes
        return found

    def _add(self, step: Step, params: Own, sizes: Sizes, count: int) -> Sizes:
        op, after = step.op, leaving(step.op, sizes)
        move = op.resample(params, sizes)
        if op.fused == "filter":
            self.how, self.antialias = move.how, move.antialias
            self.target = _each(after, count)
            if move.box is not None:
                self.box = self.box[:, [1, 1, 3, 3]] * torch.stack(move.box, dim=1)
            return after
        before, now = _each(sizes, count), _each(after, count)
        for axis in range(2):
            corner = torch.as_tensor(move.corner[axis]).long().expand(count)
            # in a mirrored result, the window is counted from the other end
            mirrored = before[:, axis] - corner - now[:, axis]
            flipped = self.flips[:, axis] > 0
            self.window[:, axis] += torch.where(flipped, mirrored, corner)
        if move.flipped is not None:
            self.flips[:, move.flip] ^= move.flipped.long()
        return after


def _each(sizes: Sizes, count: int) -> Tensor:
    """The size of each sample's image, `(N, 2)` int64."""
    if isinstance(sizes, tuple):
        return torch.tensor(sizes).expand(count, 2)
    return sizes

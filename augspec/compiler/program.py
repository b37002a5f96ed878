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
    parts: list[Resampled] = []
    for part in stage.resamples:
        own = [given[step.id] for step in part.steps]
        parts.append(Resampled.of(part.steps, own, sizes, count))
        sizes = parts[-1].shape
    if not parts:
        parts.append(Resampled.of((), (), sizes, count))
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
        targets=torch.stack([_each(part.target, count) for part in parts], dim=1),
        windows=torch.stack([part.window for part in parts], dim=1),
        flips=torch.stack([part.flips for part in parts], dim=1),
        shapes=tuple(part.shape for part in parts),
        codes=codes,
        arguments=arguments,
    )


@dataclass
class Resampled:
    """What one resample does to N samples; see `Program`.

    Attributes:
        how: the filter.
        antialias: whether it widens where the box shrinks.
        box: `(N, 4)` float64, top, bottom, left and right in pixels of what comes in.
        target: height and width to which the box is resampled, or those of each.
        window: `(N, 2)` int64, the row and column of these at which the result begins.
        flips: `(N, 2)` int64, whether rows and columns are mirrored then.
        shape: height and width of the result.
    """

    how: Filter
    antialias: bool
    box: Tensor
    target: Sizes
    window: Tensor
    flips: Tensor
    shape: Size

    @classmethod
    def of(
        cls,
        steps: Sequence[Step],
        params: Sequence[Own],
        sizes: Sizes,
        count: int,
        device: torch.device | None = None,
    ) -> Resampled:
        """A filter and the windows into its result, each seen through those before it.

        The host waits for no device where the images have one size.

        Args:
            steps: the filter, the windows.
            params: for each of them, its parameters, `(N,)` each.
            sizes: see `make_program`.
            count: N.
            device: that of the parameters; the CPU if None.
        """
        box = torch.zeros(count, 4, dtype=torch.float64, device=device)
        box[:, 1], box[:, 3] = _sides(sizes)
        found = cls(
            how=Filter.COPY,
            antialias=False,
            box=box,
            target=sizes,
            window=torch.zeros(count, 2, dtype=torch.int64, device=device),
            flips=torch.zeros(count, 2, dtype=torch.int64, device=device),
            shape=(0, 0),
        )
        for step, own in zip(steps, params, strict=True):
            sizes = found._add(step, own, sizes)
        assert isinstance(sizes, tuple), "the renderer takes no view that leaves sizes different"
        found.shape = sizes
        return found

    def _add(self, step: Step, params: Own, sizes: Sizes) -> Sizes:
        op, after = step.op, leaving(step.op, sizes)
        move = op.resample(params, sizes)
        if op.fused == "filter":
            self.how, self.antialias = move.how, move.antialias
            self.target = after
            if move.box is not None:
                height, width = _sides(sizes)
                top, bottom, left, right = move.box
                edges = [height * top, height * bottom, width * left, width * right]
                self.box = torch.stack(edges, dim=1)
            return after
        for axis, (before, now) in enumerate(zip(_sides(sizes), _sides(after), strict=True)):
            corner = move.corner[axis]
            corner = corner.long() if isinstance(corner, Tensor) else corner
            # in a mirrored result, the window is counted from the other end
            mirrored = before - corner - now
            if isinstance(mirrored, Tensor) or (mirrored, corner) != (0, 0):
                self.window[:, axis] += torch.where(self.flips[:, axis] > 0, mirrored, corner)
        if move.flipped is not None:
            self.flips[:, move.flip] ^= move.flipped.long()
        return after


def _sides(sizes: Sizes) -> tuple[int | Tensor, int | Tensor]:
    """Height and width: two numbers, or `(N,)` int64 each."""
    if isinstance(sizes, tuple):
        return sizes
    height, width = sizes.unbind(dim=-1)
    return height, width


def _each(sizes: Sizes, count: int) -> Tensor:
    """The size of each sample's image, `(N, 2)` int64."""
    if isinstance(sizes, tuple):
        return torch.tensor(sizes).expand(count, 2)
    return sizes

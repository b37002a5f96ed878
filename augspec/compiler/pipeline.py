"""The pipeline: the `nn.Module` that runs a plan.

The code is the record of what was applied: a draw is encoded, and the views are rendered from the
*decoded* code. Hence `apply(images, decode(codes))` gives the very same pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from augspec.compiler.checks import nearest_valid, refuse_bad
from augspec.compiler.plan import Plan, Step, ViewPlan
from augspec.encoding.layout import Layout
from augspec.kernels.philox import uniforms

Codes: TypeAlias = Mapping[str, Tensor]
Params: TypeAlias = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class ViewBatch:
    """What a pipeline makes of a batch; every field is a dict by view name.

    Attributes:
        views: images `(B, C, H, W)`, normalised if the spec says so.
        codes: canonical codes `(B, E)`, float32, laid out as `pipeline.layouts[view]`.
        params: the parameters by `op.parameter`, `(B,)` float64 each; they are
            `decode(codes, seeds)`.
        seeds: the seeds of random fields (noise, elastic) by `op.seed`, `(B,)` float64 each, which
            are no part of the codes; empty for a view without such an op.
    """

    views: dict[str, Tensor]
    codes: dict[str, Tensor]
    params: dict[str, dict[str, Tensor]]
    seeds: dict[str, dict[str, Tensor]]


class Pipeline(nn.Module):
    """Renders every view of a spec, batched and on the device of the images.

    One sample's draw depends on (seed, epoch, sample id, view, op) and on nothing else: not on the
    batch, its order, the device or the number of processes.

    Args:
        plan: what to run.
        seed: keys every draw, together with the epoch; in [0, 2**32).
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(self, plan: Plan, *, seed: int = 0) -> None:
        super().__init__()
        self.plan = plan
        self.seed = seed
        normalize = plan.normalize
        for name in ("mean", "std"):
            values = torch.tensor(getattr(normalize, name))[:, None, None] if normalize else None
            self.register_buffer(name, values, persistent=False)

    @property
    def layouts(self) -> dict[str, Layout]:
        """What the columns of each view's code are."""
        return {view.name: view.layout for view in self.plan.views}

    def forward(
        self, images: Tensor, *, ids: Tensor, epoch: int, positions: Tensor | None = None
    ) -> ViewBatch:
        """Draws, encodes and renders every view.

        Args:
            images: `(B, C, H, W)`, uint8, or floating point in [0, 1].
            ids: `(B,)` integers that name the samples, such as their index in the data set.
            epoch: keys the draws, together with the seed; in [0, 2**32).
            positions: `(B,)` integers, where each sample stands in the epoch's order; they decide
                which samples share the draw of an op with `share: pairs`. The ids if None.

        Raises:
            ValueError: the shapes, or the number of channels, are not what the spec says.
        """
        ids = ids.to(images.device)
        size = (images.shape[-2], images.shape[-1])
        codes = self.draw(ids, epoch, size, positions)
        seeds = self.seeds(ids, epoch, size, positions)
        params = self.decode(codes, seeds, strict=None)
        return ViewBatch(self.apply(images, params), codes, params, seeds)

    def draw(
        self, ids: Tensor, epoch: int, size: tuple[int, int], positions: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Draws the codes of every view, without rendering anything.

        Args:
            ids: `(B,)` integers that name the samples.
            epoch: keys the draws, together with the seed.
            size: height and width of the images.
            positions: `(B,)` integers, see `forward`.

        Returns:
            Codes `(B, E)` float32 by view name, on the device of `ids`.
        """
        steps = [(view, step) for view in self.plan.views for step in view.steps]
        empty = torch.zeros(len(ids), 0, dtype=torch.float64, device=ids.device)
        parts: dict[str, list[Tensor]] = {view.name: [empty] for view in self.plan.views}
        for view, step, drawn in self._drawn(steps, ids, epoch, size, positions):
            parts[view.name].append(step.op.encode(drawn))
        return {name: torch.cat(own, dim=-1).float() for name, own in parts.items()}

    def seeds(
        self, ids: Tensor, epoch: int, size: tuple[int, int], positions: Tensor | None = None
    ) -> dict[str, dict[str, Tensor]]:
        """The seeds of random fields that belong to the codes that `draw` gives for the same.

        Returns:
            Seeds `(B,)` float64 by view and `op.seed`; empty for a view without such an op.
        """
        steps = [(view, step) for view in self.plan.views for step in view.steps if step.seeds]
        found: dict[str, dict[str, Tensor]] = {view.name: {} for view in self.plan.views}
        for view, step, drawn in self._drawn(steps, ids, epoch, size, positions):
            canonical = step.op.canonical(drawn)
            found[view.name] |= {step.key(name): canonical[name] for name in step.seeds}
        return found

    def _drawn(
        self,
        steps: list[tuple[ViewPlan, Step]],
        ids: Tensor,
        epoch: int,
        size: tuple[int, int],
        positions: Tensor | None,
    ) -> Iterator[tuple[ViewPlan, Step, dict[str, Tensor]]]:
        """The parameters that these steps draw, for those that draw any."""
        if ids.ndim != 1 or ids.is_floating_point():
            raise ValueError(f"ids must be (B,) integers, got {tuple(ids.shape)} {ids.dtype}")
        positions = ids if positions is None else positions.to(ids.device)
        if positions.shape != ids.shape or positions.is_floating_point():
            raise ValueError(
                f"positions must be ({len(ids)},) integers, "
                f"got {tuple(positions.shape)} {positions.dtype}"
            )
        streams = [stream for _, step in steps for stream in step.streams]
        pieces: dict[int, Iterator[Tensor]] = {}
        for samples in {stream.samples for stream in streams}:
            pieces[samples] = iter(
                uniforms(
                    ids if samples == 1 else positions // samples,
                    seed=self.seed,
                    epoch=epoch,
                    streams=[(s.view, s.slot, s.count) for s in streams if s.samples == samples],
                )
            )
        sizes = {
            (view.name, step.id): at for view in self.plan.views for step, at in view.placed(size)
        }
        for view, step in steps:
            if step.streams:
                own = [next(pieces[stream.samples]) for stream in step.streams]
                drawn = step.op.draw(own, sizes[view.name, step.id])
                yield view, step, step.op.carried(drawn)

    def encode(self, params: Params, *, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Parameters to codes `(B, E)`; differentiable.

        Args:
            params: parameters by view and `op.parameter`; views left out have no code.
            dtype: of the codes.

        Raises:
            KeyError: an unknown view, or a parameter is missing.
        """
        known = next((value for own in params.values() for value in own.values()), None)
        if known is None:
            raise ValueError("no parameters that could tell how many samples there are")
        empty = known.new_zeros(len(known), 0, dtype=torch.float64)
        return {
            name: torch.cat([empty, *self._parts(self.plan.view(name), own)], dim=-1).to(dtype)
            for name, own in params.items()
        }

    @staticmethod
    def _parts(view: ViewPlan, params: Mapping[str, Tensor]) -> list[Tensor]:
        """The code columns of each op of a view, `(B, width)` each."""
        return [step.op.encode(_own(step, params)) for step in view.steps if step.parameters]

    def decode(
        self, codes: Codes, seeds: Params | None = None, *, strict: bool | None = True
    ) -> dict[str, dict[str, Tensor]]:
        """Codes `(B, E)` to parameters by view and `op.parameter`; differentiable.

        Args:
            codes: codes by view.
            seeds: the seeds of random fields by view and `op.seed`, as `ViewBatch.seeds`. They are
                no part of a code: without them, every field is the one of seed 0.
            strict: what becomes of a code that is not valid (NaN, a bit of 0.3, a box outside the
                image): True refuses it, and False takes the nearest valid one, with a warning. Both
                make the host wait for a GPU. None takes codes as they are: for those that the
                pipeline drew, and those that are being optimised.

        Raises:
            KeyError: an unknown view.
            ValueError: a code is not as wide as the view's layout, or is neither float32 nor
                float64 (unless `strict` is None).
            CodeError: codes that are not valid, with `strict=True`; a ValueError too.
        """
        views = [(self.plan.view(name), code) for name, code in codes.items()]
        for view, code in views:
            if code.ndim != 2 or code.shape[1] != view.layout.width:
                raise ValueError(
                    f"codes of view {view.name!r} must be (B, {view.layout.width}), "
                    f"got {tuple(code.shape)}"
                )
        if strict:
            refuse_bad(views)
        elif strict is not None:
            views = nearest_valid(views)
        params: dict[str, dict[str, Tensor]] = {}
        for view, code in views:
            params[view.name] = {
                step.key(parameter): value
                for step in view.steps
                if step.parameters
                for parameter, value in step.op.decode(code[:, slice(*step.columns)]).items()
            }
            params[view.name].update((seeds or {}).get(view.name, {}))
        return params

    def apply(self, images: Any, params: Params | None = None) -> Any:
        """Renders the views of these parameters, differentiably in images and parameters.

        Args:
            images: `(B, C, H, W)`, uint8, or floating point in [0, 1].
            params: parameters by view and `op.parameter`; views left out are not rendered.

        Returns:
            Views `(B, C, H, W)` by name.

        Raises:
            KeyError: an unknown view, or a parameter is missing.
            ValueError: the shapes, or the number of channels, are not what the spec says.
        """
        if params is None:  # `nn.Module.apply(fn)`, which a parent module calls on its children
            return super().apply(images)
        if images.ndim != 4 or images.shape[1] != self.plan.channels:
            raise ValueError(
                f"images must be (B, {self.plan.channels}, H, W), got {tuple(images.shape)}"
            )
        x = _unit_range(images)
        return {name: self._render(self.plan.view(name), x, own) for name, own in params.items()}

    def _render(self, view: ViewPlan, x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
        for step in view.steps:
            x = step.op.apply(x, _own(step, params))
        if self.mean is None or self.std is None:
            return x
        return (x - self.mean.to(x)) / self.std.to(x)

    def extra_repr(self) -> str:
        """One line a view, for `print(pipeline)`."""
        lines = [f"{self.plan.name}, seed={self.seed}, plan {self.plan.hash}"]
        for view in self.plan.views:
            ops = " -> ".join(step.id for step in view.steps) or "as it is"
            lines.append(f"{view.name} ({view.layout.width} columns): {ops}")
        return "\n".join(lines)


def _own(step: Step, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of one step, by their own names."""
    found = {}
    for name in step.parameters:
        key = step.key(name)
        if key not in params:
            raise KeyError(f"parameter {key!r} is missing")
        found[name] = params[key]
    return found


def _unit_range(images: Tensor) -> Tensor:
    """Images as float32 (or float64, if they are) in [0, 1]."""
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point():
        raise ValueError(f"images must be uint8 or floating point, got {images.dtype}")
    return images if images.dtype == torch.float64 else images.float()

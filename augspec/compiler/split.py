"""A pipeline in two parts: one beside the decoding of images, the other where the encoder is.

The host part draws, and does the geometry at the head of each view, out of the images' own pixels:
what it hands on has one size. The device part does the rest. Both see the same draw, which travels
along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from augspec.compiler.draws import draw_codes
from augspec.compiler.pipeline import Images, Pipeline, ViewBatch
from augspec.compiler.plan import Plan, ViewPlan
from augspec.compiler.ragged import steps_alone
from augspec.kernels.ragged import Ragged, as_batch, sizes_of


@dataclass(frozen=True)
class HostBatch:
    """What the host part of a pipeline hands to the device part; every dict is by view name.

    Attributes:
        pixels: `(B, C, h, w)`, after the view's geometric head: float32 in [0, 1] (float64 where
            the images are), or the images as they came where the head is empty.
        codes: canonical codes `(B, E)` of the whole view.
        seeds: the seeds of random fields by `op.seed`, `(B,)` float64 each.
        key: the plan and the seed with which these were drawn.
    """

    pixels: dict[str, Tensor]
    codes: dict[str, Tensor]
    seeds: dict[str, dict[str, Tensor]]
    key: str

    def __len__(self) -> int:
        return len(next(iter(self.pixels.values())))

    def to(self, device: torch.device | str) -> HostBatch:
        """The batch on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> HostBatch:
        """The batch in memory from which a GPU copies by itself; torch's `DataLoader` calls it."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> HostBatch:
        done: dict[int, Tensor] = {}  # views without a head share the images

        def once(tensor: Tensor) -> Tensor:
            if id(tensor) not in done:
                done[id(tensor)] = change(tensor)
            return done[id(tensor)]

        return HostBatch(
            pixels={name: once(tensor) for name, tensor in self.pixels.items()},
            codes={name: once(tensor) for name, tensor in self.codes.items()},
            seeds={
                name: {key: once(tensor) for key, tensor in own.items()}
                for name, own in self.seeds.items()
            },
            key=self.key,
        )


def split(pipeline: Pipeline) -> tuple[HostPart, DevicePart]:
    """Splits a pipeline; the views are the same as without, to the rounding between backends.

    Between eager parts they are the same bit by bit.

    Args:
        pipeline: what to split; both parts have its backend.

    Raises:
        ValueError: the pipeline merges geometric ops, which the parts would tear apart.
    """
    if pipeline.plan.merge:
        raise ValueError("a pipeline that merges geometric ops cannot be split")
    return HostPart(pipeline), DevicePart(pipeline)


class HostPart:
    """Draws, and does the geometry at the head of each view. Several threads may call it at once.

    Args:
        pipeline: what was split.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._plan, self._seed = pipeline.plan, pipeline.seed
        heads = _part(pipeline.plan, lambda view: slice(head_length(view)))
        backend = pipeline.renderer.backend
        # kernels for GPUs are the device's
        backend = "auto" if backend == "triton" else backend
        self._head = Pipeline(replace(heads, normalize=None), backend=backend)

    def __call__(
        self, images: Images, *, ids: Tensor, epoch: int, positions: Tensor | None = None
    ) -> HostBatch:
        """Draws, and renders the heads.

        Args:
            images: see `Pipeline.forward`.
            ids: see `Pipeline.forward`.
            epoch: see `Pipeline.forward`.
            positions: see `Pipeline.forward`.

        Raises:
            ValueError: see `Pipeline.forward`.
        """
        batch = as_batch(images)
        ids = ids.to(batch.device)
        codes, seeds = draw_codes(self._plan, self._seed, ids, epoch, sizes_of(batch), positions)
        params = self._head.decode(codes, seeds, strict=None)
        views = self._head.plan.views
        pixels = self._head.apply(batch, {v.name: params[v.name] for v in views if v.steps})
        for view in views:
            if not view.steps:
                if isinstance(batch, Ragged):
                    steps_alone(view, batch.sizes)  # says what is wrong
                pixels[view.name] = batch
        return HostBatch(pixels, codes, seeds, _key(self._plan, self._seed))


class DevicePart(nn.Module):
    """Does what is left of each view; `.to(device)` as usual.

    Args:
        pipeline: what was split.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        backend = pipeline.renderer.backend
        tails = _part(pipeline.plan, lambda view: slice(head_length(view), None))
        self.tail = Pipeline(
            tails,
            # kernels for CPUs are the host's: auto takes them here too, where it can
            backend="auto" if backend == "numba" else backend,
            dtype=pipeline.output.dtype,
            memory_format=pipeline.output.memory_format,
        )
        self._plan, self._decode = pipeline.plan, pipeline.decode
        self._key = _key(pipeline.plan, pipeline.seed)

    def forward(self, batch: HostBatch) -> ViewBatch:
        """Renders what the host part has begun.

        Args:
            batch: from the host part, on this part's device.

        Returns:
            What the pipeline would give for the images, `params` included.

        Raises:
            ValueError: the batch is of another pipeline, or of one with another seed.
        """
        if batch.key != self._key:
            raise ValueError(
                f"the batch was drawn by another pipeline: {batch.key}, not {self._key}"
            )
        params = self._decode(batch.codes, batch.seeds, strict=None)
        views: dict[str, Tensor] = {}
        for view in self._plan.views:
            own = {view.name: params[view.name]}
            views |= self.tail.apply(batch.pixels[view.name], own)
        return ViewBatch(views, batch.codes, params, batch.seeds)


def head_length(view: ViewPlan) -> int:
    """How many steps of a view the host does.

    Those at its head that resample a box or show a window. Where none of these decides the size,
    but a later step does, the host goes on to that one, and to what resamples after it: images of
    different sizes are no batch before.
    """
    steps = view.steps
    decides = next((n for n, s in enumerate(steps) if s.op.fixed_output_size() is not None), -1)
    length = 0
    while length < len(steps):
        if length > decides and steps[length].op.fused not in ("filter", "window"):
            break
        length += 1
    return length


def _part(plan: Plan, steps: Callable[[ViewPlan], slice]) -> Plan:
    """The plan with some of each view's steps; its codes are laid out as before."""
    views = tuple(replace(view, steps=view.steps[steps(view)]) for view in plan.views)
    return replace(plan, views=views)


def _key(plan: Plan, seed: int) -> str:
    """What says that two parts are of one pipeline."""
    return f"plan {plan.hash}, seed {seed}"

"""The pipeline: the `nn.Module` that runs a plan.

The code is the record of what was applied: a draw is encoded, and the views are rendered from the
*decoded* code. Hence `apply(images, decode(codes))` gives the very same pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from augspec.compiler.backends import Backend, Renderer
from augspec.compiler.checks import nearest_valid, refuse_bad
from augspec.compiler.draws import draw_codes, draw_seeds
from augspec.compiler.output import Output
from augspec.compiler.plan import Plan, ViewPlan, alike
from augspec.encoding.layout import Layout
from augspec.kernels.ragged import Ragged, as_batch, sizes_of
from augspec.ops.sizes import Sizes

if TYPE_CHECKING:
    from augspec.compiler.split import DevicePart, HostPart

Images: TypeAlias = Tensor | Ragged | Sequence[Tensor]
"""A batch `(B, C, H, W)`, or images `(C, H, W)` of different sizes."""

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
        backend: what renders: `eager`, the reference, one op after the other; `compiled`, with
            `torch.compile` for runs of colour steps; `numba` and `triton`, kernels for CPUs and for
            CUDA that give no gradients; `auto`, numba on CPUs and the colour kernels of triton on
            CUDA where they can, and else eager. They agree to about 1e-5.
        dtype: of the views.
        memory_format: of the views, `torch.contiguous_format` or `torch.channels_last`.

    Raises:
        ValueError: an unknown backend, or a dtype or memory format that views cannot have.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self,
        plan: Plan,
        *,
        seed: int = 0,
        backend: Backend = "auto",
        dtype: torch.dtype = torch.float32,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.plan = plan
        self.seed = seed
        normalize = plan.normalize
        self.output = Output(dtype, memory_format)
        if normalize is not None:
            self.output = Output(dtype, memory_format, normalize.mean, normalize.std)
        self.renderer = Renderer(plan, backend)
        self._groups: dict[tuple[str, ...], list[list[ViewPlan]]] = {}
        for name in ("mean", "std"):
            values = torch.tensor(getattr(normalize, name))[:, None, None] if normalize else None
            self.register_buffer(name, values, persistent=False)

    @property
    def layouts(self) -> dict[str, Layout]:
        """What the columns of each view's code are."""
        return {view.name: view.layout for view in self.plan.views}

    def forward(
        self, images: Images, *, ids: Tensor, epoch: int, positions: Tensor | None = None
    ) -> ViewBatch:
        """Draws, encodes and renders every view.

        Args:
            images: `(B, C, H, W)`, uint8, or floating point in [0, 1]; or images of different
                sizes: B of `(C, H, W)`, or `Ragged`. Boxes are then drawn in, and cut out of, each
                image's own pixels.
            ids: `(B,)` integers that name the samples, such as their index in the data set.
            epoch: keys the draws, together with the seed; in [0, 2**32).
            positions: `(B,)` integers, where each sample stands in the epoch's order; they decide
                which samples share the draw of an op with `share: pairs`. The ids if None.

        Raises:
            ValueError: the shapes, or the number of channels, are not what the spec says.
        """
        batch = as_batch(images)
        ids = ids.to(batch.device)
        codes, seeds = draw_codes(self.plan, self.seed, ids, epoch, sizes_of(batch), positions)
        params = self.decode(codes, seeds, strict=None)
        return ViewBatch(self.apply(batch, params), codes, params, seeds)

    def draw(
        self, ids: Tensor, epoch: int, size: Sizes, positions: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Draws the codes of every view, without rendering anything.

        Args:
            ids: `(B,)` integers that name the samples.
            epoch: keys the draws, together with the seed.
            size: height and width of the images, or `(B, 2)` int64 on the CPU: those of each.
            positions: `(B,)` integers, see `forward`.

        Returns:
            Codes `(B, E)` float32 by view name, on the device of `ids`.
        """
        return draw_codes(self.plan, self.seed, ids, epoch, size, positions)[0]

    def seeds(
        self, ids: Tensor, epoch: int, size: Sizes, positions: Tensor | None = None
    ) -> dict[str, dict[str, Tensor]]:
        """The seeds of random fields that belong to the codes that `draw` gives for the same.

        Returns:
            Seeds `(B,)` float64 by view and `op.seed`; empty for a view without such an op.
        """
        return draw_seeds(self.plan, self.seed, ids, epoch, size, positions)

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
        return [step.op.encode(step.own(params)) for step in view.steps if step.parameters]

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
        by_name = {view.name: code for view, code in views}
        for group in self._alike(tuple(by_name)):
            own = [by_name[view.name] for view in group]
            for view, decoded in zip(group, _decoded(group[0], own), strict=True):
                params[view.name] = decoded | dict((seeds or {}).get(view.name, {}))
        return {name: params[name] for name in codes}

    def _alike(self, names: tuple[str, ...]) -> list[list[ViewPlan]]:
        """The views of these names, those with equal ops together: what they share is done once."""
        if names not in self._groups:
            self._groups[names] = alike(self.plan.view(name) for name in names)
        return self._groups[names]

    def apply(self, images: Any, params: Params | None = None) -> Any:
        """Renders the views of these parameters, differentiably in images and parameters.

        Args:
            images: see `forward`.
            params: parameters by view and `op.parameter`; views left out are not rendered.

        Returns:
            Views `(B, C, H, W)` by name.

        Raises:
            KeyError: an unknown view, or a parameter is missing.
            ValueError: the shapes, or the number of channels, are not what the spec says.
        """
        if params is None:  # `nn.Module.apply(fn)`, which a parent module calls on its children
            return super().apply(images)
        batch = as_batch(images)
        channels = batch.channels if isinstance(batch, Ragged) else batch.shape[1]
        if channels != self.plan.channels:
            raise ValueError(
                f"images must have {self.plan.channels} channel{'s' * (self.plan.channels > 1)}, "
                f"as the spec says, got {channels}"
            )
        return self.renderer.render(batch, params, self.output, self.mean, self.std)

    def split(self) -> tuple[HostPart, DevicePart]:
        """The pipeline in two parts with the same draws.

        The host part does the geometry of each view, from the images' own pixels, such as in the
        workers of a data loader; the device part does the rest, such as on a GPU. Both together
        give what the pipeline gives.
        """
        from augspec.compiler.split import split

        return split(self)

    def extra_repr(self) -> str:
        """One line a view, for `print(pipeline)`."""
        lines = [f"{self.plan.name}, seed={self.seed}, plan {self.plan.hash}"]
        for view in self.plan.views:
            ops = " -> ".join(step.id for step in view.steps) or "as it is"
            lines.append(f"{view.name} ({view.layout.width} columns): {ops}")
        return "\n".join(lines)


def _decoded(view: ViewPlan, codes: Sequence[Tensor]) -> list[dict[str, Tensor]]:
    """The parameters of several codes of a view, or of views with the same ops."""
    if len({(code.dtype, code.device) for code in codes}) > 1:
        return [own for code in codes for own in _decoded(view, [code])]
    lengths = [len(code) for code in codes]
    code = torch.cat(list(codes)) if len(codes) > 1 else codes[0]
    found: list[dict[str, Tensor]] = [{} for _ in codes]
    for step in view.steps:
        if step.parameters:
            for name, value in step.op.decode(code[:, slice(*step.columns)]).items():
                for own, part in zip(found, value.split(lengths), strict=True):
                    own[step.key(name)] = part
    return found

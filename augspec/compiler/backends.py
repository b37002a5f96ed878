"""Which backend renders a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from augspec.compiler.compiled import CompiledRenderer
from augspec.compiler.eager import Params, render_eager, unit_range
from augspec.compiler.output import Output
from augspec.compiler.plan import Plan
from augspec.compiler.ragged import render_ragged
from augspec.compiler.triton import TritonRenderer, refuses
from augspec.kernels.ragged import Ragged
from augspec.language.diagnostics import meant

if TYPE_CHECKING:
    from augspec.compiler.render import FusedRenderer

Backend: TypeAlias = Literal["auto", "eager", "compiled", "numba", "triton"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)


class Renderer:
    """Renders the views of a plan with one of the backends.

    Args:
        plan: whose views are rendered.
        backend: see `augspec.Pipeline`.

    Raises:
        ValueError: an unknown backend.
    """

    def __init__(self, plan: Plan, backend: Backend) -> None:
        if backend not in BACKENDS:
            names = ", ".join(BACKENDS)
            raise ValueError(
                f"unknown backend {backend!r}{meant(backend, BACKENDS)} (backends: {names})"
            )
        self.plan, self.backend = plan, backend
        self._compiled = CompiledRenderer(plan)
        self._fused: FusedRenderer | None = None
        # auto takes what was measured on a GPU: the kernels for colours
        self._triton = TritonRenderer(plan, geometry=backend == "triton")

    def render(
        self,
        images: Tensor | Ragged,
        params: Params,
        output: Output,
        mean: Tensor | None,
        std: Tensor | None,
    ) -> dict[str, Tensor]:
        """Renders views.

        Args:
            images: `(B, C, H, W)` or ragged.
            params: parameters by view and `op.parameter`.
            output: what the views are made as.
            mean: of the normalisation, `(C, 1, 1)` on the device of the images.
            std: likewise.

        Raises:
            ValueError: the backend cannot render these.
        """
        if isinstance(images, Ragged) and self.plan.merge:
            raise ValueError("a pipeline that merges geometric ops takes images of one size")
        rendered = self._by_kernels(images, params, output)
        if rendered is not None:
            return rendered
        if isinstance(images, Ragged):
            return {
                name: output.finish(render_ragged(self.plan.view(name), images, own), mean, std)
                for name, own in params.items()
            }
        x = unit_range(images)
        found = {}
        for name, own in params.items():
            view = self.plan.view(name)
            if self.backend == "compiled":
                plain = self._compiled.render(view, x, own)
            else:
                plain = render_eager(view, x, own, merge=self.plan.merge)
            found[name] = output.finish(plain, mean, std)
        return found

    def _by_kernels(
        self, images: Tensor | Ragged, params: Params, output: Output
    ) -> dict[str, Tensor] | None:
        """Renders views with kernels made for that; None if the ops of torch are to do it.

        Raises:
            ValueError: the backend cannot render these.
        """
        name = self.backend
        if name == "auto":
            name = "triton" if images.device.type == "cuda" else "numba"
        if name == "numba":
            why = not_fused(images, params)
            if why is None:
                return self._for_cpu().render(images, params, output)
        elif name == "triton":
            why = refuses(images, params)
            if why is None:
                assert isinstance(images, Tensor), "others are refused"
                return self._triton.render(images, params, output)
        else:
            return None
        if self.backend != "auto":
            raise ValueError(f"backend {name!r} {why}: take 'auto', 'eager' or 'compiled'")
        return None

    def _for_cpu(self) -> FusedRenderer:
        if self._fused is None:
            from augspec.compiler.render import FusedRenderer  # numba takes a moment to import

            self._fused = FusedRenderer(self.plan)
        return self._fused


def not_fused(images: Tensor | Ragged, params: Params) -> str | None:
    """Why the fused kernels cannot render these, in words that follow their name; None if they can.

    Args:
        images: the images.
        params: the parameters.
    """
    pixels = images.pixels if isinstance(images, Ragged) else images
    if torch.compiler.is_compiling():
        return "is not for use inside torch.compile"
    if pixels.device.type != "cpu":
        return f"renders on CPUs, and the images are on {pixels.device}"
    if pixels.dtype not in (torch.uint8, torch.float32, torch.float16, torch.bfloat16):
        return f"takes images of up to 32 bits, not {pixels.dtype}"
    tensors = [pixels, *(value for own in params.values() for value in own.values())]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return "gives no gradients, and images or parameters require them"
    if any(value.device.type != "cpu" for value in tensors):
        return "renders on CPUs, and parameters are not there"
    return None

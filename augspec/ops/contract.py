"""What an op is: one file with its fields, parameters, draw, rendering and inverse.

Laws, tested once for all ops (`tests/augspec/ops/test_laws.py`):

1. Default-constructible; a YAML or JSON round trip is the identity.
2. Draws lie in the declared range and have the declared distribution.
3. `p` is a gate: a sample that is gated off gets the identity parameters, and its pixels are
   bit-equal to the input (to the plain resize, for an op that changes the size).
4. `render(x, identity) == x` (exact; 1e-6 for hue).
5. `encode` gives as many columns as the parameters' codecs; `decode(encode(p))` is the canonical
   form of `p`, and applying it gives the same pixels.
6. Where an inverse exists, it undoes, and the forward did something.
7. Gradients reach the image and every parameter declared differentiable.
8. No host sync in `render`; `torch.compile(fullgraph=True)` works on it.

An op file imports torch inside its methods only: loading a spec must stay quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pydantic import Field

from augspec.encoding.codecs import Codec, Linear
from augspec.language.document import DocumentModel

if TYPE_CHECKING:
    from torch import Tensor

Size: TypeAlias = tuple[int, int]
"""Height and width of an image in pixels."""

Parameters: TypeAlias = "Mapping[str, Tensor]"
"""One draw of an op: a `(B,)` float64 tensor for each parameter."""


class NotInvertibleError(ValueError):
    """The op loses what its inverse would need."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of an op.

    Attributes:
        name: its name, unique within the op.
        unit: its unit, in words.
        identity: the value at which it changes nothing.
        low: the smallest value that an ungated draw can give; None if the image's size decides.
        high: the largest one.
        codec: how it is encoded.
        differentiable: whether a gradient reaches it from the view.
    """

    name: str
    unit: str
    identity: float
    low: float | None
    high: float | None
    codec: Codec = field(default_factory=Linear)
    differentiable: bool = True


class Op(DocumentModel):
    """One augmentation: subclasses add a tag (`op: Literal[...]`), fields, and what is below."""

    id: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")
    """A name for this op within its view; the tag (plus `_2`, `_3` ... among equals) if absent."""

    draws: ClassVar[int] = 0
    """How many uniforms one draw needs, the gate not counted."""

    keeps_size: ClassVar[bool] = True
    """Whether the image comes out in the size in which it went in, whatever that is."""

    not_invertible: ClassVar[str | None] = None
    """Why there is no inverse; None where there is one."""

    needs_colour: ClassVar[bool] = False
    """Whether the op has no effect on images with one channel."""

    @classmethod
    def tag(cls) -> str:
        """The name by which a spec calls this op."""
        return cls.model_fields["op"].default

    @property
    def gate(self) -> float:
        """The probability with which the op acts on a sample."""
        return getattr(self, "p", 1.0)

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The parameters, in the order of their columns.

        Args:
            size: the size of the image that reaches the op, where it is known before any data.
        """
        return ()

    def output_size(self, size: Size) -> Size:
        """The size of the image that leaves the op, for one of `size` that reaches it."""
        return size

    def fixed_output_size(self) -> Size | None:
        """The size of the image that leaves the op where the fields alone decide it."""
        return None

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """Maps uniforms in (0, 1) to parameters.

        Args:
            u: `(B, draws)` float64.
            size: the size of the images that reach the op.
        """
        return {}

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """The one form of these parameters: what cannot be seen in any image is set to identity."""
        return dict(params)

    def active(self, params: Parameters) -> Tensor:
        """Which samples these parameters change: `(B,)` bool.

        Every op that keeps the size says so itself, since only it knows which parameter decides.
        """
        raise NotImplementedError

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """Runs the kernel: images `(B, C, H, W)` in [0, 1], each sample by its own parameters."""
        raise NotImplementedError

    def inverse(self, params: Parameters) -> dict[str, Tensor]:
        """The parameters that undo `params`.

        Raises:
            NotInvertibleError: the op has no inverse; the message says why.
        """
        raise NotInvertibleError(f"{self.tag()} has no inverse: {self.not_invertible}")

    def draw(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """Maps `(B, 1 + draws)` uniforms, the gate's first, to gated parameters."""
        import torch

        on = u[:, 0] < self.gate
        params = self.sample(u[:, 1:], size)
        return {p.name: torch.where(on, params[p.name], p.identity) for p in self.parameters(size)}

    def encode(self, params: Parameters) -> Tensor:
        """Parameters to code columns `(B, width)`, float64."""
        return self.encode_canonical(self.canonical(params))

    def encode_canonical(self, params: Parameters) -> Tensor:
        """Parameters that are in canonical form already to code columns `(B, width)`, float64."""
        import torch

        return torch.cat([p.codec.encode(params[p.name]) for p in self.parameters()], dim=-1)

    def decode(self, code: Tensor) -> dict[str, Tensor]:
        """Code columns `(B, width)` to parameters."""
        parameters = self.parameters()
        parts = code.split([p.codec.width for p in parameters], dim=-1)
        return {p.name: p.codec.decode(part) for p, part in zip(parameters, parts, strict=True)}

    def apply(self, x: Tensor, params: Parameters) -> Tensor:
        """Renders the samples that the parameters change; the rest stay bit-equal."""
        if not self.keeps_size or not params:
            return self.render(x, params)
        from augspec.kernels.rows import on_rows

        names = tuple(params)

        def run(rows: Tensor, *values: Tensor) -> Tensor:
            return self.render(rows, dict(zip(names, values, strict=True)))

        return on_rows(self.active(params), run, x, *(params[name] for name in names))

    def faults(self, size: Size | None) -> list[tuple[tuple[str, ...], str]]:
        """Mistakes that need the size of the incoming image: (path of the field, message)."""
        return []


class RandomOp(Op):
    """An op that acts on a sample with probability `p`."""

    p: float = Field(default=1.0, ge=0.0, le=1.0)
    """Probability with which the op acts on a sample; without it, the op always acts."""


class GeometricOp(Op):
    """An op that moves pixels: it also has a matrix."""

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """The map from points of the incoming image to points of the outgoing one.

        Points are (x, y, 1) in normalised coordinates: x to the right, y down, and -1 and 1 are the
        outer edges of the image (`align_corners=False` of `torch.nn.functional.grid_sample`).

        Args:
            params: one draw.
            size: the size of the images that reach the op.
            batch: B, for an op without parameters.

        Returns:
            `(B, 3, 3)` float64.
        """
        raise NotImplementedError


def pair(size: int | Size) -> Size:
    """An `int` is a square."""
    return (size, size) if isinstance(size, int) else size


def scale_and_shift(sx: Any, tx: Any, sy: Any, ty: Any) -> Tensor:
    """The matrices `(B, 3, 3)` of x' = sx x + tx, y' = sy y + ty, from `(B,)` float64 tensors."""
    import torch

    zero, one = torch.zeros_like(sx), torch.ones_like(sx)
    rows = [sx, zero, tx, zero, sy, ty, zero, zero, one]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))

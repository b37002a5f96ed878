"""Turn the image by quarter turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from augspec.encoding.codecs import Angle, Motion
from augspec.language.codes import Code
from augspec.language.document import Fault, fault
from augspec.language.values import Choice
from augspec.ops.affinity import affinity, gated_range
from augspec.ops.contract import Incoming, Op, Parameters, RandomOp, Rule, Size
from augspec.ops.effect import Effect
from augspec.ops.geometry import GeometricOp, same_product
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor

Quarter = Literal[0, 1, 2, 3]


class Rotate90(RandomOp, GeometricOp):
    """Turn the image by quarter turns, as `torch.rot90`: pixels only change places."""

    op: Literal["rotate90"] = "rotate90"

    quarters: Annotated[tuple[Quarter, ...], Field(min_length=1)] = (0, 1, 2, 3)
    """The numbers of quarter turns, counter-clockwise, of which one is drawn; all are equally
    likely. One or three of them need a square image."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"p": 0.5},
        {"quarters": [0, 2]},
        {"quarters": [2, 3], "p": 0.7},
    )
    draws: ClassVar[int] = 1
    motion_of: ClassVar[Mapping[str, Motion]] = {"angle": "jumps"}  # by whole quarters
    limits: ClassVar[str | None] = "the angle must be a whole number of quarter turns"
    effect: ClassVar[Effect] = Effect(places="rearranges")

    @field_validator("quarters")
    @classmethod
    def _distinct(cls, quarters: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(quarters)) < len(quarters):
            raise fault(f"must be different numbers out of 0, 1, 2, 3, got {list(quarters)}")
        return quarters

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The angle; three quarters are coded as the quarter turn backwards."""
        low, high = gated_range(min(self.quarters) / 4, max(self.quarters) / 4, 0.0, self.p)
        return (Parameter("angle", "turn", 0.0, low, high, Angle(), False, self._turns),)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"angle": self._turns.sample(u[:, 0])}

    @property
    def _turns(self) -> Choice:
        """The turns that may be drawn."""
        return Choice(tuple(k / 4 for k in self.quarters), (1.0,) * len(self.quarters))

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """The angle in [-1/2, 1/2] turn."""
        return {"angle": params["angle"] - params["angle"].round()}

    def nearest(self, params: Parameters) -> dict[str, Tensor]:
        """See `Op.nearest`."""
        return {"angle": (params["angle"] * 4).round() / 4}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return self._quarters(params) != 0

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`.

        Raises:
            ValueError: the image is not square, and a quarter turn may be asked for.
        """
        from augspec.kernels.rows import where_rows

        height, width = x.shape[-2:]
        if height != width and self._needs_a_square:
            raise ValueError(
                f"rotate90 with quarters {list(self.quarters)} needs square images, "
                f"got {height}x{width}; quarters [0, 2] suit any"
            )
        quarters = self._quarters(params)
        view = where_rows(quarters == 2, x.rot90(2, (-2, -1)), x)
        if height == width:
            view = where_rows(quarters == 1, x.rot90(1, (-2, -1)), view)
            view = where_rows(quarters == 3, x.rot90(3, (-2, -1)), view)
        return view

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`: with flips and its like, where the matrices do."""
        if other.effect.places != "rearranges" or not isinstance(other, GeometricOp):
            return False
        return lambda own, its: same_product(self, own, other, its)

    def inverse(self, params: Parameters) -> dict[str, Tensor]:
        """The same turn backwards."""
        return {"angle": -params["angle"]}

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`; its entries are whole numbers for a square image."""
        # by whole quarters, as it is rendered; the cosine of a right angle is not quite zero
        return affinity(size, angle=-self._quarters(params) / 4).round()

    def faults(self, incoming: Incoming) -> list[Fault]:
        """Quarter turns of an image that is not square."""
        size = incoming.size
        if size is None or size[0] == size[1] or not self._needs_a_square:
            return []
        message = f"quarter turns need a square image, got {size[0]}x{size[1]}"
        message += f": [0, 2] suits any image, got {list(self.quarters)}"
        return [Fault(("quarters",), message, Code.IMAGE_SIZE)]

    @property
    def _needs_a_square(self) -> bool:
        return 1 in self.quarters or 3 in self.quarters

    def _quarters(self, params: Parameters) -> Tensor:
        """How many quarter turns, 0 to 3, `(B,)` float64."""
        return (params["angle"] * 4).round().remainder(4)

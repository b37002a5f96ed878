"""One gate for a group of ops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from augspec.ops.combinator import Combinator, Odds

if TYPE_CHECKING:
    from torch import Tensor


class Maybe(Combinator):
    """Apply a group of ops with probability `p`, all of them or none.

    Each op keeps its own `p` inside the group. As `torchvision.transforms.v2.RandomApply`.
    """

    op: Literal["maybe"] = "maybe"

    p: float = Field(default=0.5, ge=0.0, le=1.0)
    """Probability with which the group acts on a sample."""

    resizes: ClassVar[bool] = True
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"p": 0.3, "ops": [{"op": "horizontal_flip", "p": 0.5}, {"op": "solarize"}]},
        {"p": 0.5, "ops": [{"op": "resized_crop", "size": [20, 24], "area": [0.2, 0.9]}]},
    )

    @property
    def choices(self) -> int:
        """See `Combinator.choices`."""
        return 1

    def odds(self) -> Odds:
        """See `Combinator.odds`."""
        return (self.p,) * len(self.ops), lambda k, m: self.p

    def decide(self, u: Tensor) -> tuple[dict[str, Tensor], list[Tensor] | None]:
        """See `Combinator.decide`."""
        on = u[:, 0] < self.p
        return {}, [on for _ in self.ops]

"""Several ops in an order drawn for each sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.ops.shuffled import Shuffled

if TYPE_CHECKING:
    from torch import Tensor


class RandomOrder(Shuffled):
    """Apply all of several ops in an order drawn for each sample.

    As `torchvision.transforms.v2.RandomOrder`, but with an order per sample.
    """

    op: Literal["random_order"] = "random_order"

    gates: ClassVar[bool] = True  # in each round an op is left out on the samples of the others
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {
            "ops": [
                {"op": "gaussian_blur", "p": 0.5, "kernel": 3, "sigma": [0.3, 1.0]},
                {"op": "solarize", "p": 0.5},
                {"op": "color_jitter", "p": 0.8, "brightness": 0.4, "hue": 0.1},
            ]
        },
    )

    @property
    def choices(self) -> int:
        """See `Combinator.choices`."""
        return len(self.ops) if self.shuffles else 0

    def decide(self, u: Tensor) -> tuple[dict[str, Tensor], list[Tensor] | None]:
        """See `Combinator.decide`: the order of as many uniforms."""
        return {"order": self.codec.index(u.argsort(dim=-1))}, None

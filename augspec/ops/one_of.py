"""One op out of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from augspec.language.document import fault
from augspec.language.values import Choice
from augspec.ops.combinator import Combinator, Odds

if TYPE_CHECKING:
    from torch import Tensor

Weight = Annotated[float, Field(ge=0.0)]


class OneOf(Combinator):
    """Apply one of several ops, chosen for each sample.

    The code has the columns of all of them; those of the ops that were not chosen are zero.
    `{op: sequence, ops: []}` among them stands for no change at all. As
    `torchvision.transforms.v2.RandomChoice`, but with a choice per sample.
    """

    op: Literal["one_of"] = "one_of"

    weights: tuple[Weight, ...] | None = None
    """How likely each op is, in proportion; equally, if left out. They need not sum to one."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"ops": [{"op": "horizontal_flip"}, {"op": "grayscale"}, {"op": "sequence", "ops": []}]},
        {
            "weights": [1, 3],
            "ops": [
                {"op": "gaussian_blur", "kernel": 3, "sigma": [0.3, 1.0]},
                {"op": "color_jitter", "brightness": 0.4, "hue": 0.1},
            ],
        },
    )

    @model_validator(mode="after")
    def _one_weight_each(self) -> OneOf:
        if self.weights is not None:
            if len(self.weights) != len(self.ops):
                message = f"needs one number for each of {len(self.ops)} ops"
                raise fault(f"{message}, got {len(self.weights)}", "weights")
            if sum(self.weights) <= 0:
                raise fault("at least one weight must be positive", "weights")
        return self

    @property
    def choices(self) -> int:
        """See `Combinator.choices`."""
        return 1 if self.ops else 0

    def odds(self) -> Odds:
        """See `Combinator.odds`: never two of them."""
        weights = self.weights or (1.0,) * len(self.ops)
        return tuple(weight / sum(weights) for weight in weights), lambda k, m: 0.0

    def decide(self, u: Tensor) -> tuple[dict[str, Tensor], list[Tensor] | None]:
        """See `Combinator.decide`."""
        weights = self.weights or (1.0,) * len(self.ops)
        indices = tuple(float(index) for index in range(len(self.ops)))
        chosen = Choice(indices, weights).sample(u[:, 0])
        return {}, [chosen == index for index in indices]

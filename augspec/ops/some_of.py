"""Several ops out of more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from augspec.language.document import fault
from augspec.ops.combinator import Odds
from augspec.ops.shuffled import Shuffled

if TYPE_CHECKING:
    from torch import Tensor

Count = Annotated[int, Field(ge=0)]


class SomeOf(Shuffled):
    """Apply `n` different ones of several ops, chosen for each sample."""

    op: Literal["some_of"] = "some_of"

    n: Count | tuple[Count, Count] = 1
    """How many, or the least and the most, each number in between being equally likely."""

    order: Literal["listed", "random"] = "listed"
    """Whether the chosen ops act in the order written here, or in one drawn for each sample."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {
            "n": 2,
            "ops": [
                {"op": "horizontal_flip"},
                {"op": "grayscale"},
                {"op": "gaussian_blur", "kernel": 3},
            ],
        },
        {
            "n": [0, 2],
            "order": "random",
            "ops": [
                {"op": "solarize", "threshold": [0.2, 0.8]},
                {"op": "color_jitter", "brightness": [0.5, 1.5]},
                {"op": "gaussian_blur", "kernel": 3, "sigma": [0.3, 1.0]},
            ],
        },
    )

    @model_validator(mode="after")
    def _as_many_as_there_are(self) -> SomeOf:
        low, high = self.bounds
        if low > high:
            raise fault(f"the least must not exceed the most, got [{low}, {high}]", "n")
        if self.ops and high > len(self.ops):
            raise fault(f"must be at most {len(self.ops)}, the number of ops, got {high}", "n")
        return self

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the most ops that act."""
        return (self.n, self.n) if isinstance(self.n, int) else self.n

    @property
    def shuffles(self) -> bool:
        """See `Shuffled.shuffles`."""
        return self.order == "random" and super().shuffles

    @property
    def can_act(self) -> bool:
        """See `Op.can_act`."""
        return self.bounds[1] > 0 and super().can_act

    @property
    def choices(self) -> int:
        """See `Combinator.choices`: a place for each op, and how many act."""
        return len(self.ops) + 1 if self.ops else 0

    def odds(self) -> Odds:
        """See `Combinator.odds`: all subsets of a size are equally likely."""
        low, high = self.bounds
        numbers, ops = range(low, high + 1), max(len(self.ops), 1)
        alone = sum(n / ops for n in numbers) / len(numbers)
        pairs = max(ops * (ops - 1), 1)
        both = sum(n * (n - 1) / pairs for n in numbers) / len(numbers)
        return (alone,) * len(self.ops), lambda k, m: both

    def decide(self, u: Tensor) -> tuple[dict[str, Tensor], list[Tensor] | None]:
        """See `Combinator.decide`: the ops with the smallest uniforms act, in their order."""
        low, high = self.bounds
        number = low + (u[:, -1] * (high - low + 1)).floor()
        order = u[:, :-1].argsort(dim=-1)
        place = order.argsort(dim=-1)
        own = {"order": self.codec.index(order)} if self.shuffles else {}
        return own, [place[:, index] < number for index in range(len(self.ops))]

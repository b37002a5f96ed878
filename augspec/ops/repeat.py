"""The same ops several times."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from augspec.language.document import fault
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op, Parameters
from augspec.ops.sequence import Sequence

if TYPE_CHECKING:
    from torch import Tensor

Times = Annotated[int, Field(ge=0, le=16)]


class Repeat(Combinator):
    """Apply the same ops several times, each time with a draw of its own.

    The code has columns for each time. Times that change nothing are moved to the end, so that it
    cannot be told, nor need it be, whether the first or the second of two was left out.
    """

    op: Literal["repeat"] = "repeat"

    times: Times | tuple[Times, Times] = 2
    """How often, or the least and the most, each number in between being equally likely."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"times": 2, "ops": [{"op": "gaussian_blur", "p": 0.5, "kernel": 3, "sigma": [0.3, 1.0]}]},
        {
            "times": [1, 3],
            "ops": [{"op": "one_of", "ops": [{"op": "horizontal_flip"}, {"op": "solarize"}]}],
        },
    )

    @model_validator(mode="after")
    def _in_order(self) -> Repeat:
        low, high = self.bounds
        if low > high:
            raise fault(f"the least must not exceed the most, got [{low}, {high}]", "times")
        return self

    @cached_property
    def renders(self) -> int:
        """See `Op.renders`."""
        return self.bounds[1] * sum(op.renders for op in self.ops)

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the most times."""
        return (self.times, self.times) if isinstance(self.times, int) else self.times

    @cached_property
    def children(self) -> tuple[tuple[str, Op], ...]:
        """See `Combinator.children`: the ops, once for each time, called `1`, `2` ..."""
        once = self.ops[0] if len(self.ops) == 1 else Sequence(ops=self.ops)
        return tuple((str(1 + time), once) for time in range(self.bounds[1] if self.ops else 0))

    @property
    def choices(self) -> int:
        """See `Combinator.choices`."""
        low, high = self.bounds
        return 1 if self.ops and low < high else 0

    def decide(self, u: Tensor) -> tuple[dict[str, Tensor], list[Tensor] | None]:
        """See `Combinator.decide`."""
        low, high = self.bounds
        number = low + (u[:, 0] * (high - low + 1)).floor()
        return {}, [time < number for time in range(high)]

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """See `Op.canonical`: what changes something comes first, in the order in which it does."""
        import torch

        params = super().canonical(params)
        idle = ~torch.stack(self.acting(params), dim=-1)
        order = torch.argsort(idle.int(), dim=-1, stable=True)
        parts = [own for _, _, own in self.parts(params)]
        found: dict[str, Tensor] = {}
        for key in parts[0]:
            sorted_ = torch.stack([own[key] for own in parts], dim=-1).gather(1, order)
            found |= {f"{name}.{key}": sorted_[:, k] for k, (name, _) in enumerate(self.children)}
        return {p.name: found[p.name] for p in self.parameters()}

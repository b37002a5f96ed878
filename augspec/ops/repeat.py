"""The same ops several times."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from augspec.encoding.codecs import Motion
from augspec.language.document import fault
from augspec.ops.combinator import Combinator, Odds
from augspec.ops.contract import Op, Parameters
from augspec.ops.sequence import Sequence

if TYPE_CHECKING:
    from torch import Tensor

Times = Annotated[int, Field(ge=0, le=16)]


class Repeat(Combinator):
    """Apply the same ops several times, each time with a draw of its own.

    The code has columns for each time. Times that change nothing are moved to the end, so that it
    cannot be told, nor need it be, whether the first or the second of two was left out; nor, where
    two commute, which came first.
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

    def odds(self) -> Odds | None:
        """See `Combinator.odds`: idle times are moved."""
        return None

    def decide(self, u: Tensor) -> tuple[dict[str, Tensor], list[Tensor] | None]:
        """See `Combinator.decide`."""
        low, high = self.bounds
        number = low + (u[:, 0] * (high - low + 1)).floor()
        return {}, [time < number for time in range(high)]

    def motions(self) -> dict[str, Motion]:
        """See `Op.motions`: before one that jumps has done so, the times after it are moved up."""
        found = super().motions()
        if "jumps" not in found.values():
            return found
        return {key: "follows" if way == "moves" else way for key, way in found.items()}

    def exchanged(self, params: Parameters) -> dict[str, Tensor]:
        """See `Combinator.exchanged`: what changes something comes first, in the order it does.

        Of times that commute, first the one that comes first by what it does.
        """
        import torch

        from augspec.kernels.orders import linear_extension

        clash = self.clashes(params)
        index = torch.arange(len(self.children), device=clash.device)
        before = clash & (index[:, None] < index)
        idle = ~torch.stack(self.acting(params), dim=-1)
        rank = torch.stack(self.ranks(params), dim=-1) + idle * len(self.children)
        return self.renamed(params, linear_extension(before, rank).unbind(-1))

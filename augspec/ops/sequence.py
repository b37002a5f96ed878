"""Several ops as one."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from augspec.ops.combinator import Combinator


class Sequence(Combinator):
    """Apply several ops one after the other: one entry where a list has room for one.

    Without ops it changes nothing, which is how a choice says that nothing may happen.
    """

    op: Literal["sequence"] = "sequence"

    gates: ClassVar[bool] = False
    resizes: ClassVar[bool] = True
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"ops": [{"op": "horizontal_flip", "p": 0.5}, {"op": "grayscale", "p": 0.5}]},
        {"ops": [{"op": "resize", "size": 30}, {"op": "resized_crop", "size": 16}]},
    )

    @property
    def can_act(self) -> bool:
        """See `Op.can_act`; without ops it is meant to change nothing."""
        return not self.ops or super().can_act

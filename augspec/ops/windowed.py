"""What blurs whose kernel has a fixed side have in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from augspec.language.codes import Code
from augspec.language.document import Fault, fault
from augspec.ops.contract import Incoming
from augspec.ops.switch import SwitchOp


def odd(kernel: int) -> int:
    """Refuses a kernel that has no middle."""
    if kernel % 2 == 0:
        raise fault(f"the kernel needs an odd side, such as {kernel + 1}, got {kernel}")
    return kernel


def reach_faults(kernel: int, incoming: Incoming) -> list[Fault]:
    """A kernel that reaches past the mirrored edge."""
    size = incoming.size
    if size is None or kernel // 2 < min(size):
        return []
    message = f"a kernel of {kernel} needs an image of more than {kernel // 2} pixels a side, "
    message += f"got {size[0]}x{size[1]}: at most {2 * min(size) - 1}"
    return [Fault(("kernel",), message, Code.IMAGE_SIZE)]


class WindowOp(SwitchOp):
    """An op that makes each pixel from those around it, edges mirrored; `on` says whether it acts.

    Subclasses give `render`, and may have further parameters.
    """

    group: ClassVar[str] = "filters"
    not_scalable: ClassVar[str | None] = "an odd number of pixels has no odd double"

    kernel: int = Field(default=3, ge=3)
    """Side of the square around each pixel, in pixels, an odd number from 3."""

    _odd = field_validator("kernel")(odd)

    def faults(self, incoming: Incoming) -> list[Fault]:
        """See `reach_faults`."""
        return reach_faults(self.kernel, incoming)

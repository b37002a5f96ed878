"""What blurs whose kernel has a fixed side have in common."""

from __future__ import annotations

from pydantic import Field, field_validator

from augspec.language.codes import Code
from augspec.language.document import Fault, fault
from augspec.ops.contract import Incoming
from augspec.ops.tonal import SwitchOp


class WindowOp(SwitchOp):
    """An op that makes each pixel from those around it, edges mirrored; `on` says whether it acts.

    Subclasses give `render`, and may have further parameters.
    """

    kernel: int = Field(default=3, ge=3)
    """Side of the square around each pixel, in pixels, an odd number from 3."""

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise fault(f"the kernel needs an odd side, such as {kernel + 1}, got {kernel}")
        return kernel

    def faults(self, incoming: Incoming) -> list[Fault]:
        """A kernel that reaches past the mirrored edge."""
        size = incoming.size
        if size is None or self.kernel // 2 < min(size):
            return []
        message = f"a kernel of {self.kernel} needs an image of more than "
        message += f"{self.kernel // 2} pixels a side, got {size[0]}x{size[1]}"
        message += f": at most {2 * min(size) - 1}"
        return [Fault(("kernel",), message, Code.IMAGE_SIZE)]

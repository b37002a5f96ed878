"""Codecs that only published formats use; a formatted column is never decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NoReturn

from augspec.encoding.codecs import Codec, Order

if TYPE_CHECKING:
    from torch import Tensor


class OneWay(Codec):
    """A codec of a format: the code of the identity is zero, and nothing decodes it."""

    def decode(self, code: Tensor) -> NoReturn:
        """See `Codec.decode`.

        Raises:
            NotImplementedError: always; codes are decoded, formats are not.
        """
        raise NotImplementedError(f"{self.name} is written into formats, and never read back")


@dataclass(frozen=True)
class Switched(OneWay):
    """Whether a value differs from 0, its identity, and the value: `(on, value)`."""

    name: ClassVar[str] = "switched"
    columns: ClassVar[tuple[str, ...]] = ("on", "value")

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        import torch

        return torch.stack([(value.detach() != 0).to(value.dtype), value], dim=-1)


@dataclass(frozen=True)
class Positions(OneWay):
    """Which of `count` steps comes first, second ...: their numbers, minus 0, 1, 2 ...

    The parameter is the index of a permutation, as for `Order`. The identity, the steps in order,
    is all zeros.
    """

    count: int = 4
    name: ClassVar[str] = "positions"

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """One column for each position."""
        return tuple(str(k + 1) for k in range(self.count))

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        import torch

        steps = torch.arange(self.count, device=value.device)
        return (Order(self.count).permutation(value) - steps).double()

"""Turn some pixels white and some black."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from augspec.encoding.codecs import Motion, Uncoded
from augspec.language.values import Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Parameters, RandomOp, Size
from augspec.ops.effect import Effect
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor


class SaltAndPepper(RandomOp):
    """Set pixels chosen at random to white or black, as Kornia's `RandomSaltAndPepperNoise`.

    All channels of a pixel alike. The defaults are Kornia's.
    """

    op: Literal["salt_and_pepper"] = "salt_and_pepper"

    amount: Annotated[Value, Within(0.0, 1.0)] = Uniform(0.01, 0.06)
    """Fraction of the pixels that are noise: the probability of each."""

    salt: Annotated[Value, Within(0.0, 1.0)] = Uniform(0.4, 0.6)
    """Fraction of the noise that is white (salt): the probability of each; the rest is black."""

    group: ClassVar[str] = "noise"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"amount": 0.3, "salt": 1, "p": 0.5},
        {"amount": {"choice": [0, 0.2]}, "salt": [0, 1]},
    )
    draws: ClassVar[int] = 3
    not_invertible: ClassVar[str | None] = "what the noise covers is gone"
    not_scalable: ClassVar[str | None] = "its noise is drawn pixel by pixel"
    effect: ClassVar[Effect] = Effect(places="covers", paints=(0.0, 1.0))
    motion_of: ClassVar[Mapping[str, Motion]] = {"salt": "holds"}  # more and more of the same noise

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """Amount and salt, 0 where there is no noise; its seed is no part of the code."""
        return (
            self._fraction("amount", self.amount),
            self._fraction("salt", self.salt),
            Parameter(
                "seed", "32-bit word", 0.0, 0.0, 2.0**32 - 1, Uncoded(), differentiable=False
            ),
        )

    def _fraction(self, name: str, value: Value) -> Parameter:
        # salt is 0, too, where an amount of 0 leaves nothing to be white
        low = value.low if self.p == 1 and self.amount.low > 0 else 0.0
        high = value.high if self.p > 0 else 0.0
        drawn = None if self.amount.can_be(0) and name == "salt" else value
        return Parameter(
            name, "fraction", 0.0, low, high, differentiable=False, value=drawn, possible=(0.0, 1.0)
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        amount, salt = self.amount.sample(u[:, 0]), self.salt.sample(u[:, 1])
        return {"amount": amount, "salt": salt, "seed": (u[:, 2] * 2**32).floor()}

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """Where no pixel is noise, neither its colour nor its seed can be seen."""
        import torch

        on = self.active(params)
        return {name: torch.where(on, value, 0.0) for name, value in params.items()}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["amount"] > 0

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.noise import salt_and_pepper

        return salt_and_pepper(x, params["amount"], params["salt"], params["seed"])

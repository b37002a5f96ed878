"""Change the light: from the glow of embers to a blue sky."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.encoding.codecs import Log
from augspec.kernels.opcodes import Opcode
from augspec.ops.contract import Op, Parameters, RandomOp, Rule, Size
from augspec.ops.effect import Effect
from augspec.ops.lowering import Fusable, Steps, one_step
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ILLUMINANTS = {"blackbody": 25, "cied": 23}
"""How many illuminants each of Kornia's tables has."""

GAINS = {
    "blackbody": {
        "red": (0.7528476715087891, 1.6736162900924683),
        "blue": (0.0032266071066260338, 1.490006446838379),
    },
    "cied": {
        "red": (0.68171226978302, 1.3184800148010254),
        "blue": (0.5175299644470215, 1.4583598375320435),
    },
}
"""The smallest and the largest gain of each table, so that a spec is checked without Kornia."""


class Planckian(RandomOp):
    """Scale red and blue as light of another colour temperature would.

    Planckian jitter (Zini et al., "Planckian Jitter: countering the color-crippling effects of
    color jitter on self-supervised training", ICLR 2023, arXiv 2202.07993), with the tables of
    Kornia's `RandomPlanckianJitter`, whose illuminants are equally likely. Values are clamped to
    [0, 1].
    """

    op: Literal["planckian"] = "planckian"

    mode: Literal["blackbody", "cied"] = "blackbody"
    """`blackbody`: one of 25 black bodies of 3000 to 15000 K; `cied`: one of 23 phases of daylight
    (CIE D) of 4000 to 15000 K."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"p": 0.8}, {"mode": "cied", "p": 0.5})
    draws: ClassVar[int] = 1
    needs_colour: ClassVar[bool] = True
    not_invertible: ClassVar[str | None] = "values clamped to [0, 1] are gone"
    effect: ClassVar[Effect] = Effect(tones="pixel", monotone=True)
    fused: ClassVar[Fusable | None] = "chain"

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The gains of red and blue; green's is 1."""
        return tuple(self._gain(name) for name in ("red", "blue"))

    def _gain(self, name: str) -> Parameter:
        low, high = GAINS[self.mode][name] if self.p > 0 else (1.0, 1.0)
        if self.p < 1:
            low, high = min(low, 1.0), max(high, 1.0)
        return Parameter(name, "gain", 1.0, low, high, Log())

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        gains = _table(self.mode, u.device)[(u[:, 0] * ILLUMINANTS[self.mode]).long()]
        return {"red": gains[:, 0], "blue": gains[:, 1]}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return (params["red"] != 1.0) | (params["blue"] != 1.0)

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`: what only grows is clamped to white once or twice."""
        if not isinstance(other, Planckian):
            return False

        def grow(own: Parameters, its: Parameters) -> Tensor:
            return (own["red"] >= 1) & (own["blue"] >= 1) & (its["red"] >= 1) & (its["blue"] >= 1)

        return grow

    def steps(self, params: Parameters, size: Size) -> Steps:
        """See `Op.steps`."""
        return one_step(Opcode.GAIN, self.active(params), params["red"], params["blue"])

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.channels import gain

        return gain(x, params["red"], params["blue"])


@lru_cache(maxsize=8)
def _table(mode: str, device: torch.device) -> Tensor:
    """The gains of red and blue, `(illuminants, 2)` float64, from Kornia."""
    from kornia.augmentation import RandomPlanckianJitter

    return (
        RandomPlanckianJitter(mode=mode.upper() if mode == "cied" else mode).pl.double().to(device)
    )

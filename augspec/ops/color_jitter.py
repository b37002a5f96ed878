"""Change brightness, contrast, saturation and hue, in an order drawn for each sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import field_validator

from augspec.encoding.codecs import Angle, Codec, Linear, Order
from augspec.language.document import fault
from augspec.language.values import Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Parameter, Parameters, RandomOp, Size, gated_range

if TYPE_CHECKING:
    from torch import Tensor

STEPS = ("brightness", "contrast", "saturation", "hue")
Step = Literal["brightness", "contrast", "saturation", "hue"]
Factor = Annotated[Value, Within(0.0, spread_around=1.0)]


class ColorJitter(RandomOp):
    """Change brightness, contrast, saturation and hue, as `torchvision.transforms.v2.ColorJitter`.

    A single number s is torchvision's shorthand: factors in [max(0, 1 - s), 1 + s], hue in [-s, s].
    A pair is the range of the factor itself, so `brightness: [1.4, 1.4]` is always 1.4. Results are
    clamped to [0, 1] after each step. Unlike torchvision, which draws one order for a whole batch,
    every sample has its own.
    """

    op: Literal["color_jitter"] = "color_jitter"

    brightness: Factor = Uniform(1.0, 1.0)
    """Factor on every channel; 1 changes nothing, 0 is black."""

    contrast: Factor = Uniform(1.0, 1.0)
    """Factor on the distance to the image's mean luma; 0 is uniformly gray."""

    saturation: Factor = Uniform(1.0, 1.0)
    """Factor on the distance to each pixel's luma; 0 is grayscale."""

    hue: Annotated[Value, Within(-0.5, 0.5, spread_around=0.0)] = Uniform(0.0, 0.0)
    """Rotation of the hue in turns."""

    order: Literal["random"] | tuple[Step, Step, Step, Step] = "random"
    """`random` for a draw per sample, or the four steps in the order in which they act."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"p": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1},
        {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.5, "p": 0.5},
        {"brightness": {"choice": [0, 1]}, "contrast": {"choice": [0, 1, 2]}, "hue": 0.5},
        {"saturation": {"choice": [0, 1]}, "hue": {"choice": [-0.5, 0, 0.5]}},
        {"hue": 0.2, "order": ["hue", "brightness", "saturation", "contrast"]},
    )
    draws: ClassVar[int] = 5
    identity_error: ClassVar[float] = 1e-6
    not_invertible: ClassVar[str | None] = "values clamped to [0, 1] are gone"

    @field_validator("order")
    @classmethod
    def _every_step_once(cls, order: object) -> object:
        if order != "random" and set(order) != set(STEPS):  # type: ignore[call-overload]
            raise fault(f"must name each of {', '.join(STEPS)} once, got {list(order)}")  # type: ignore[call-overload]
        return order

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """Three factors, the hue's rotation, and the index of the order among the 24."""
        found = [
            self._parameter("brightness", "factor", 1.0, Linear(1.0)),
            self._parameter("contrast", "factor", 1.0, Linear(1.0)),
            self._parameter("saturation", "factor", 1.0, Linear(1.0)),
            self._parameter("hue", "turn", 0.0, Angle()),
        ]
        order = Parameter("order", "permutation", 0.0, 0.0, 23.0, Order(), differentiable=False)
        return (*found, order)

    def _parameter(self, name: str, unit: str, identity: float, codec: Codec) -> Parameter:
        value: Value = getattr(self, name)
        low, high = gated_range(value.low, value.high, identity, self.p)
        return Parameter(name, unit, identity, low, high, codec)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        import torch

        params = {name: getattr(self, name).sample(u[:, k]) for k, name in enumerate(STEPS)}
        params["hue"] = Angle().snap(params["hue"])
        if self.order == "random":
            params["order"] = (u[:, 4] * 24).floor()
        else:
            order = torch.tensor([[STEPS.index(step) for step in self.order]], device=u.device)
            params["order"] = Order().index(order).expand(len(u))
        return params

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """Sets to neutral what no image can show.

        Brightness 0 leaves black whatever else is done; contrast 0 leaves a uniform gray, on which
        a later saturation or hue does nothing; saturation 0 leaves no hue to rotate.
        """
        import torch

        brightness, contrast, saturation, hue = (params[name] for name in STEPS)
        position = Order().permutation(params["order"]).argsort(dim=-1)
        black = brightness == 0
        gray_first = (contrast == 0) & (position[:, 1] < position[:, 2])
        saturation = torch.where(black | gray_first, 1.0, saturation)
        no_hue = (contrast == 0) & (position[:, 1] < position[:, 3])
        no_hue |= (saturation == 0) & (position[:, 2] < position[:, 3])
        return {
            "brightness": brightness,
            "contrast": torch.where(black, 1.0, contrast),
            "saturation": saturation,
            "hue": torch.where(black | no_hue, 0.0, hue - hue.detach().round()),
            "order": params["order"],
        }

    def encode_canonical(self, params: Parameters) -> Tensor:
        """See `Op.encode_canonical`; a precedence is 0 where either of its steps is neutral."""
        import torch

        code = super().encode_canonical(params)
        factors, precedences = code[:, :-6], code[:, -6:]
        return torch.cat([factors, Order().unseen(precedences, self._acting(params))], dim=-1)

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`; an order by itself changes nothing."""
        return self._acting(params).any(dim=-1)

    def _acting(self, params: Parameters) -> Tensor:
        """Which of the four steps change anything: `(B, 4)` bool."""
        import torch

        identities = (1.0, 1.0, 1.0, 0.0)
        return torch.stack(
            [params[name] != i for name, i in zip(STEPS, identities, strict=True)], dim=-1
        )

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.colour import jitter

        return jitter(
            x,
            params["brightness"],
            params["contrast"],
            params["saturation"],
            params["hue"],
            Order().permutation(params["order"]),
        )

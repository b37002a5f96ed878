"""Change brightness, contrast, saturation and hue, in an order drawn for each sample."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import field_validator

from augspec.encoding.codecs import Angle, Codec, Linear, Order
from augspec.encoding.moments import Moments, unknown
from augspec.kernels.opcodes import Opcode
from augspec.language.document import fault
from augspec.language.values import Constant, Linspace, Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Parameters, RandomOp, Size
from augspec.ops.effect import Effect
from augspec.ops.lowering import Fusable, Steps
from augspec.ops.parameter import NOT_NEGATIVE, Parameter, gated_range
from augspec.ops.sizes import Sizes

if TYPE_CHECKING:
    from torch import Tensor

STEPS = ("brightness", "contrast", "saturation", "hue")  # in the order of their opcodes
IDENTITIES = (1.0, 1.0, 1.0, 0.0)
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
    fused: ClassVar[Fusable | None] = "chain"

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
        drawn = self._orders
        order = Parameter("order", "permutation", 0.0, 0.0, 23.0, Order(), False, drawn)
        return (*found, order)

    @property
    def effect(self) -> Effect:  # type: ignore[override]
        """See `Op.effect`; contrast alone looks at other pixels."""
        low, high = self.contrast.low, self.contrast.high
        return Effect(tones="pixel" if low == high == 1 else "image")

    @property
    def _orders(self) -> Value | None:
        """The indices of the orders; None where a step may be neutral, and so unseen, or not."""
        if any(value.can_be(i) and value.low < value.high for value, i in self._values()):
            return None
        if self.order == "random":
            return Linspace(0, 23, 24)
        steps = tuple(STEPS.index(step) for step in self.order)
        return Constant(sorted(itertools.permutations(range(4))).index(steps))

    def _values(self) -> Iterator[tuple[Value, float]]:
        """What each step is drawn from, and its identity."""
        return (
            (getattr(self, step), identity)
            for step, identity in zip(STEPS, IDENTITIES, strict=True)
        )

    def moments(
        self, size: Size | None = None, codecs: Mapping[str, Codec] | None = None
    ) -> Moments:
        """See `Op.moments`; unknown where a factor may be 0, which hides others."""
        codecs = codecs or {}
        if any(getattr(self, step).can_be(0) for step in STEPS[:3]):
            used = (codecs.get(p.name, p.codec) for p in self.parameters(size))
            return unknown(sum(codec.width for codec in used))
        acting = tuple(not value.can_be(identity) for value, identity in self._values())
        seen = _SeenOrder(acting, codecs.get("order"))
        return super().moments(size, {**codecs, "order": seen})

    def _parameter(self, name: str, unit: str, identity: float, codec: Codec) -> Parameter:
        value: Value = getattr(self, name)
        # a factor of 0 (or one that float32 rounds to it) may hide what follows: see `canonical`
        before = [getattr(self, step) for step in STEPS[: STEPS.index(name)]]
        seen = 0.5 if self.p == 1 and any(value.low < 1e-7 for value in before) else self.p
        low, high = gated_range(value.low, value.high, identity, seen)
        own = Parameter(name, unit, identity, low, high, codec, value=value)
        return own if name == "hue" else replace(own, possible=NOT_NEGATIVE)

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

        from augspec.kernels.tracing import tracing

        brightness, contrast, saturation, hue = (params[name] for name in STEPS)
        asked = hue.device.type == "cpu" and not tracing()
        if asked and not bool((brightness * contrast * saturation == 0).any()):
            return {**params, "hue": hue - hue.detach().round()}
        position = Order().position(params["order"])
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

    def drawn_code(self, uniforms: Sequence[Tensor], size: Sizes) -> Tensor:
        """See `Op.drawn_code`."""
        import torch

        from augspec.encoding.order_tables import order_tables
        from augspec.kernels.tracing import readable

        (u,) = uniforms
        if not readable(u):
            return super().drawn_code(uniforms, size)
        from augspec.kernels.drawing import jitter_rows

        params = self.sample(u[:, 1:], (1, 1))
        values = [params[name].contiguous().numpy() for name in (*STEPS, "order")]
        tables = order_tables(Order(), u.device)
        code = u.new_empty(len(u), 11, dtype=torch.float32)
        angles = u.new_empty(2, len(u))
        jitter_rows(
            u[:, 0].contiguous().numpy(),
            self.gate,
            *values,
            tables.places.numpy(),
            tables.seen.numpy(),
            code.numpy(),
            angles.numpy(),
        )
        sine, half = angles.sin().unbind(0)
        code[:, 3] = sine + 0.0
        code[:, 4] = 2 * half.square()
        return code

    def encode_canonical(self, params: Parameters) -> Tensor:
        """See `Op.encode_canonical`; a precedence is 0 where either of its steps is neutral."""
        import torch

        *factors, order = self.parameters()
        columns = [p.codec.encode(params[p.name]) for p in factors]
        columns.append(Order().encode_seen(params[order.name], self._acting(params)))
        return torch.cat(columns, dim=-1)

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`; an order by itself changes nothing."""
        return self._acting(params).any(dim=-1)

    def _acting(self, params: Parameters) -> Tensor:
        """Which of the four steps change anything: `(B, 4)` bool."""
        import torch

        return torch.stack(
            [params[name] != i for name, i in zip(STEPS, IDENTITIES, strict=True)], dim=-1
        )

    def steps(self, params: Parameters, size: Size) -> Steps:
        """See `Op.steps`: the four, in each sample's own order."""
        import torch

        order = Order().permutation(params["order"])
        values = torch.stack([params[name] for name in STEPS], dim=-1)
        acts = torch.cat([values[:, :3] != 1.0, values[:, 3:].frac() != 0.0], dim=1)
        opcodes = torch.where(acts.gather(1, order), order + int(Opcode.BRIGHTNESS), 0)
        own = values.gather(1, order).float()
        return Steps(opcodes.int(), torch.stack([own, torch.zeros_like(own)], dim=-1))

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


@dataclass(frozen=True)
class _SeenOrder(Codec):
    """What the code shows of an order where the same steps act on every sample.

    Attributes:
        acting: which of the four steps act.
        then: encodes the order that the code decodes to; None for the code itself.
    """

    acting: tuple[bool, ...]
    then: Codec | None
    name: ClassVar[str] = "seen order"

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """See `Codec.columns`."""
        return (self.then or Order()).columns

    def encode(self, value: Tensor) -> Tensor:
        """See `Codec.encode`."""
        import torch

        acting = torch.tensor(self.acting).expand(len(value), -1)
        seen = Order().unseen(Order().encode(value), acting)
        return self.then.encode(Order().decode(seen)) if self.then else seen

    def decode(self, code: Tensor) -> Tensor:
        """See `Codec.decode`."""
        return Order().decode(code)

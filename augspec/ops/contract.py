"""What an op is: one file with its fields, parameters, draw, rendering and inverse.

Laws, tested once for all ops (`tests/augspec/ops/test_laws.py`):

1. Default-constructible; a YAML or JSON round trip is the identity.
2. Draws lie in the declared range and have the declared distribution.
3. `p` is a gate: a sample that is gated off gets the identity parameters, and its pixels are
   bit-equal to the input (to the plain resize, for an op that changes the size).
4. `render(x, identity) == x` (exact, but for the `identity_error` that an op states).
5. `encode` gives as many columns as the parameters' codecs; `decode(encode(p))` is the canonical
   form of `p`, and applying it gives the same pixels. The seed of a random field has no columns: it
   replays exactly, but is not part of the code.
6. Where an inverse exists, it undoes, and the forward did something.
7. Gradients reach the image (unless `not_differentiable` says why not) and every parameter
   declared differentiable.
8. No host sync in `render`; `torch.compile(fullgraph=True)` works on it.
9. Draws that treat every image alike have one code, and no others do (`test_same_effect.py`): what
   no image can show is not part of a canonical form, within a combinator either. What ops that
   stand one after the other do to one another counts as done: two flips are not no flip.

An op file imports torch inside its methods only: loading a spec must stay quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from augspec.encoding.codecs import Codec, Motion, Order, Uncoded
from augspec.encoding.moments import Moments, drawn, together
from augspec.language.codes import Code
from augspec.language.document import Fault
from augspec.ops.effect import Effect, Keeps
from augspec.ops.kept import Keeping
from augspec.ops.lowering import Fusable, Resample, Steps
from augspec.ops.parameter import Parameter
from augspec.ops.sharing import Share, Sharing, Stream, resolved
from augspec.ops.sizes import Sizes, size_by_size

if TYPE_CHECKING:
    from torch import Tensor


Size: TypeAlias = tuple[int, int]
"""Height and width of an image in pixels."""

Move: TypeAlias = "tuple[Tensor, Size]"
"""A map `(B, 3, 3)` from points of one image to points of the next, and the size of the next."""

Parameters: TypeAlias = "Mapping[str, Tensor]"
"""One draw of an op: a `(B,)` float64 tensor for each parameter."""


Rule: TypeAlias = "bool | Keeps | Callable[[Parameters, Parameters], Tensor]"
"""Whether two ops commute: always, never, or depending on their parameters (`(B,)` bool)."""


class NotInvertibleError(ValueError):
    """The op loses what its inverse would need."""


@dataclass(frozen=True)
class Incoming:
    """What is known before any data of the images that reach an op.

    Attributes:
        size: height and width in pixels, where they are known.
        channels: 1 or 3.
    """

    size: Size | None
    channels: int = 3


class Op(Keeping):
    """One augmentation: subclasses add a tag (`op: Literal[...]`), fields, and what is below."""

    id: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")
    """A name for this op within its view; the tag (plus `_2`, `_3` ... among equals) if absent."""

    share: Sharing | None = None
    """Who shares this op's draw: `views` (all that have such an op of this id), `pairs` of samples,
    or `{views: ..., samples: n}`. Without it, every sample of every view has a draw of its own."""

    kept: ClassVar[tuple[str, ...]] = ("parameters", "streams")

    group: ClassVar[str] = "colour"
    """Under which heading lists of ops show it."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ()
    """Ways to write this op that reach its corners: the law tests, the help and the editor use
    them. The default construction is always tested too."""

    draws: ClassVar[int] = 0
    """How many uniforms one draw needs, the gate not counted."""

    one_size: ClassVar[bool] = False
    """Whether `sample` can only draw for images of one size: where they differ, it is called for
    each size. Otherwise it takes `Sizes`, or does not look at the size."""

    keeps_size: ClassVar[bool] = True
    """Whether the image comes out in the size in which it went in, whatever that is."""

    not_invertible: ClassVar[str | None] = None
    """Why there is no inverse; None where there is one."""

    not_differentiable: ClassVar[str | None] = None
    """Why no useful gradient reaches the image; None where one does."""

    not_scalable: ClassVar[str | None] = None
    """Why the same parameters do not show the same at another resolution, the fields that count
    pixels scaled along; None where they do."""

    limits: ClassVar[str | None] = None
    """What `nearest` asks of the parameters beyond the bounds of each, in words, such as "the box
    must lie in the image"; None where it asks no more."""

    geometric: ClassVar[bool] = False
    """Whether all that it does is to move pixels by a projective map, or by several in a row."""

    motion_of: ClassVar[Mapping[str, Motion]] = {}
    """How parameters go along a path from the identity where that is not their codec's way."""

    needs_colour: ClassVar[bool] = False
    """Whether the op has no effect on images with one channel."""

    fused: ClassVar[Fusable | None] = None
    """What it is to the fused kernels; None where they cannot do what it does."""

    effect: ClassVar[Effect] = Effect()
    """What sort of change it makes: where no image can show in which order two ops acted, their
    order is not part of a code (`augspec.ops.commute`)."""

    identity_error: ClassVar[float] = 0.0
    """How far `render` at the identity may be off by rounding; `apply` is exact all the same."""

    @model_serializer(mode="wrap")
    def _with_its_tag(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The tag comes first, and is there even where defaults are left out."""
        return {"op": self.tag(), **handler(self)}

    @classmethod
    def tag(cls) -> str:
        """The name by which a spec calls this op."""
        return cls.model_fields["op"].default

    @property
    def gate(self) -> float:
        """The probability with which the op acts on a sample."""
        return getattr(self, "p", 1.0)

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The parameters, in the order of their columns.

        Args:
            size: the size of the image that reaches the op, where it is known before any data.
        """
        return ()

    def output_size(self, size: Size) -> Size:
        """The size of the image that leaves the op, for one of `size` that reaches it."""
        return size

    def fixed_output_size(self) -> Size | None:
        """The size of the image that leaves the op where the fields alone decide it."""
        return None

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """Maps uniforms in (0, 1) to parameters.

        Args:
            u: `(B, draws)` float64.
            size: the size of the images that reach the op.
        """
        return {}

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """The one form of these parameters: what cannot be seen in any image is set to identity."""
        return dict(params)

    def nearest(self, params: Parameters) -> dict[str, Tensor]:
        """The nearest parameters that are possible: these, where nothing about them is impossible.

        An op whose parameters bound one another (a box must lie in the image) says so here.
        """
        return {p.name: params[p.name].clamp(*p.possible) for p in self.parameters()}

    def active(self, params: Parameters) -> Tensor:
        """Which samples these parameters change: `(B,)` bool.

        Every op that keeps the size says so itself, since only it knows which parameter decides.
        """
        raise NotImplementedError

    def commutes(self, other: Op) -> Rule:
        """Whether it commutes with another op beyond what follows from the `effect` of both.

        Only asked where nothing does. An answer holds for both orders: one of the two need say it.

        Returns:
            True for any parameters, False for none, or what tells from the parameters of this op
            and of the other; `Keeps`, from what the other makes of some constants.
        """
        return False

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """Runs the kernel: images `(B, C, H, W)` in [0, 1], each sample by its own parameters."""
        raise NotImplementedError

    def resample(self, params: Parameters, size: Sizes) -> Resample:
        """What a filter or window does to each sample; its result has `output_size`.

        Args:
            params: one draw.
            size: the size of the images that reach the op, or that of each.
        """
        raise NotImplementedError

    def steps(self, params: Parameters, size: Size) -> Steps:
        """What a step of a chain, or several, does to each sample, of images of `size`."""
        raise NotImplementedError

    def stays_inside(self, size: Size | None) -> bool:
        """Whether a window never shows anything around images of this size, None if unknown."""
        return False

    @property
    def bends(self) -> bool:
        """Whether it moves pixels as no projective map does."""
        return self.group == "geometry" and not self.geometric

    def moves(self, params: Parameters, size: Size, batch: int = 1) -> list[Move]:
        """The projective maps by which it moves pixels, one after the other.

        There are none for an op that leaves every pixel in its place, and none that say what an op
        does that bends the image.

        Args:
            params: one draw.
            size: the size of the images that reach the op.
            batch: B, for an op without parameters.
        """
        return []

    def inverse(self, params: Parameters) -> dict[str, Tensor]:
        """The parameters that undo `params`.

        Raises:
            NotInvertibleError: the op has no inverse; the message says why.
        """
        raise NotInvertibleError(f"{self.tag()} has no inverse: {self.not_invertible}")

    def moments(
        self, size: Size | None = None, codecs: Mapping[str, Codec] | None = None
    ) -> Moments:
        """The exact moments of the code of a draw, as far as they are known.

        Here, from the distribution of each parameter that says what it is drawn from, independent
        of the others. An op whose `canonical` changes what can be drawn with a probability above
        zero says otherwise itself.

        Args:
            size: the size of the images that reach the op, where it is known.
            codecs: other codecs for some parameters, with a zero code for the identity too.
        """
        codecs = codecs or {}
        own = (drawn(codecs.get(p.name, p.codec), p.rules()) for p in self.parameters(size))
        return together([together(list(own))], self.gate)

    def acting_probability(self, size: Size | None = None) -> float | None:
        """The probability with which a draw changes anything; None where it is not known."""
        idle = 1.0
        for p in self.parameters(size):
            if isinstance(p.codec, Order | Uncoded):
                continue
            rule = p.rules()[-1]
            if rule is None:
                return None
            idle *= float(rule[1][rule[0] == p.identity].sum())
        return self.gate * (1 - idle)

    def motions(self) -> dict[str, Motion]:
        """How each parameter goes along a path from the identity, see `augspec.codes.paths`."""
        return {p.name: self.motion_of.get(p.name, p.codec.motion) for p in self.parameters()}

    @property
    def seeds(self) -> tuple[str, ...]:
        """The parameters that are no part of the code: the seeds of random fields."""
        return tuple(p.name for p in self.parameters() if isinstance(p.codec, Uncoded))

    def streams(self) -> tuple[Stream, ...]:
        """The uniforms that a draw needs, the gate's first."""
        if not self.parameters():
            return ()
        return (Stream("", 1 + self.draws, resolved(self.share) or Share()),)

    def draw(self, uniforms: Sequence[Tensor], size: Sizes) -> dict[str, Tensor]:
        """Maps uniforms to gated parameters.

        Args:
            uniforms: `(B, count)` float64 in (0, 1) for each of `streams`.
            size: the size of the images that reach the op, or that of each.
        """
        if not uniforms:
            return {}
        (u,) = uniforms
        if self.gate <= 0:
            return {p.name: u.new_full((len(u),), p.identity) for p in self.parameters()}
        if self.one_size and not isinstance(size, tuple):
            params = size_by_size(self.sample, u[:, 1:], size)
        else:
            params = self.sample(u[:, 1:], size)  # type: ignore[arg-type]
        if self.gate >= 1:
            return {p.name: params[p.name] for p in self.parameters()}
        return self.gated(params, u[:, 0] < self.gate)

    def gated(self, params: Parameters, on: Tensor) -> dict[str, Tensor]:
        """The parameters where `on` `(B,)` is true, the identity elsewhere."""
        import torch

        return {p.name: torch.where(on, params[p.name], p.identity) for p in self.parameters()}

    def carried(self, params: Parameters) -> dict[str, Tensor]:
        """What a float32 code carries of a draw.

        A draw is rounded before its canonical form is found, since rounding may be what makes some
        of it invisible: a contrast of 1e-9 becomes 0, after which no saturation can be seen.
        """
        return {p.name: p.codec.carried(params[p.name]) for p in self.parameters()}

    def encode(self, params: Parameters) -> Tensor:
        """Parameters to code columns `(B, width)`, float64."""
        return self.encode_canonical(self.canonical(params))

    def encode_canonical(self, params: Parameters) -> Tensor:
        """Parameters that are in canonical form already to code columns `(B, width)`, float64."""
        import torch

        return torch.cat([p.codec.encode(params[p.name]) for p in self.parameters()], dim=-1)

    def drawn_code(self, uniforms: Sequence[Tensor], size: Sizes) -> Tensor:
        """The code `(B, width)` float32 of a draw, see `draw` for the arguments.

        It is that of what `drawn` gives. An op that is drawn in most recipes may find it in fewer
        steps, bit for bit the same; it must be one without `seeds`, which no code has.
        """
        return self.encode_canonical(self.drawn(uniforms, size)).float()

    def drawn(self, uniforms: Sequence[Tensor], size: Sizes) -> dict[str, Tensor]:
        """The canonical form of what a float32 code carries of a draw, see `draw`."""
        return self.canonical(self.carried(self.draw(uniforms, size)))

    def decode(self, code: Tensor) -> dict[str, Tensor]:
        """Code columns `(B, width)` to parameters."""
        parameters = self.parameters()
        parts = code.split([p.codec.width for p in parameters], dim=-1)
        return {p.name: p.codec.decode(part) for p, part in zip(parameters, parts, strict=True)}

    def apply(self, x: Tensor, params: Parameters) -> Tensor:
        """Renders the samples that the parameters change; the rest stay bit-equal."""
        if not self.keeps_size or not params:
            return self.render(x, params)
        from augspec.kernels.rows import on_rows

        names = tuple(params)

        def run(rows: Tensor, *values: Tensor) -> Tensor:
            return self.render(rows, dict(zip(names, values, strict=True)))

        return on_rows(self.active(params), run, x, *params.values())

    def outgoing(self, incoming: Incoming) -> Incoming:
        """What is known of the images that leave the op."""
        size = incoming.size
        size = self.output_size(size) if size is not None else self.fixed_output_size()
        if size is None and self.keeps_size:
            return incoming
        return Incoming(size, incoming.channels)

    def faults(self, incoming: Incoming) -> list[Fault]:
        """Mistakes that only show where it is known what images reach the op."""
        return []

    def leaves(self) -> Iterator[tuple[tuple[str | int, ...], Op]]:
        """The ops that render, each with its path: this one, or those inside a combinator."""
        yield (), self

    @property
    def rendered(self) -> Sequence[tuple[str, Op, bool]]:
        """The ops that render, as often as they do: this one, or those inside a combinator.

        Each with what its parameters' names begin with, and whether it is part of a mean of images.
        """
        return (("", self, False),)

    @property
    def renders(self) -> int:
        """How many ops it runs: one, or those inside a combinator, each time that they act."""
        return 1

    @property
    def can_be_left_out(self) -> bool:
        """Whether some parameters make the op do nothing but change the size."""
        return bool(self.parameters())

    @property
    def can_act(self) -> bool:
        """Whether any draw can change any image, the gate set aside."""
        return not self.parameters() or any(p.acts for p in self.parameters())


class RandomOp(Op):
    """An op that acts on a sample with probability `p`."""

    p: float = Field(default=1.0, ge=0.0, le=1.0)
    """Probability with which the op acts on a sample; without it, the op always acts."""


def identified(ops: Sequence[Op]) -> tuple[tuple[str, Op], ...]:
    """The ops with their ids: the one given, or the tag, with `_2`, `_3` ... among equals."""
    seen: dict[str, int] = {}
    found = []
    for op in ops:
        if op.id is None:
            seen[op.tag()] = number = seen.get(op.tag(), 0) + 1
            found.append((op.tag() if number == 1 else f"{op.tag()}_{number}", op))
        else:
            found.append((op.id, op))
    return tuple(found)


def list_faults(ops: Sequence[Op], incoming: Incoming) -> list[Fault]:
    """The mistakes of ops that act one after the other; paths start with the op's index."""
    faults: list[Fault] = []
    first: dict[str, int] = {}
    for index, (op_id, op) in enumerate(identified(ops)):
        if op_id in first:
            message = f"id {op_id!r} is already that of op {first[op_id]} of this list"
            faults.append(Fault((index, "id" if op.id else "op"), message, Code.SAME_ID))
        first.setdefault(op_id, index)
        faults += [fault.under(index) for fault in op.faults(incoming)]
        if op.needs_colour and incoming.channels == 1:
            message = f"{op.tag()} needs colour, and image.channels is 1"
            faults.append(Fault((index, "op"), message, Code.NEEDS_COLOUR))
        if op.gate > 0 and not op.can_act:
            faults.append(
                Fault(
                    (index, "op"),
                    f"{op.tag()} can never act: {_NEUTRAL if any(op.leaves()) else _EMPTY}",
                    Code.NEVER_ACTS,
                )
            )
        incoming = op.outgoing(incoming)
    return faults


_EMPTY = "it has no ops"
_NEUTRAL = (
    "whatever it draws, it changes no image; give it something to draw, leave it out, "
    "or write `p: 0` to keep its columns in the code"
)

"""What combinators share: ops made of ops, under the same contract and the same laws.

A combinator decides, for each sample, which of its ops act, and nothing else: an op that is not
chosen has its identity parameters. So the choice needs no columns of its own, and a choice that
cannot be seen has no code (an op that was chosen and drew its identity, or was not chosen at all).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from pydantic import ConfigDict, model_validator

from augspec.encoding.codecs import Codec, Motion
from augspec.encoding.moments import Moments, together, unknown
from augspec.language.codes import Code
from augspec.language.document import Fault, fault
from augspec.ops.commute import Clashes
from augspec.ops.contract import Incoming, Move, Op, Parameters, Size, identified, list_faults
from augspec.ops.parameter import Parameter
from augspec.ops.sharing import Share, Stream, resolved
from augspec.ops.sizes import Sizes, leaving
from augspec.ops.twins import Groups, key, listed, ranks, twins

if TYPE_CHECKING:
    from torch import Tensor

    from augspec.ops.contract import Op as AnyOp


Odds: TypeAlias = "tuple[Sequence[float], Callable[[int, int], float]]"
"""The probability with which each op acts, and with which the k-th and the l-th both do."""

MOST_RENDERS = 1024
"""How many ops one op may run: nested repeats multiply, and every op has columns in the code."""


class Combinator(Op):
    """An op made of ops. Subclasses decide which of them act on a sample (`decide`)."""

    # built as a part of the spec; by itself only where a test or a person asks for it
    model_config = ConfigDict(defer_build=True)

    ops: tuple[AnyOp, ...] = ()
    """The ops that it is made of."""

    group: ClassVar[str] = "combinators"

    gates: ClassVar[bool] = True
    """Whether it may leave an op out on some samples."""

    resizes: ClassVar[bool] = False
    """Whether its ops may change the size of the image."""

    not_invertible: ClassVar[str | None] = "its ops would have to be undone in reverse"

    @model_validator(mode="after")
    def _not_too_many(self) -> Combinator:
        # a validator, and not one of `faults`: these, and all else, walk every op that it runs
        if self.renders > MOST_RENDERS:
            message = f"{self.tag()} runs {self.renders} ops, all repeats written out: at most "
            raise fault(f"{message}{MOST_RENDERS}", "ops", code=Code.TOO_MANY)
        return self

    def __eq__(self, other: object) -> bool:
        """Whether both are written alike.

        Pydantic's own comparison would also compare `children`, and so each op twice at each level.
        """
        if type(other) is not type(self):
            return False
        return all(getattr(self, f) == getattr(other, f) for f in type(self).model_fields)

    @cached_property
    def renders(self) -> int:  # type: ignore[override]
        """See `Op.renders`."""
        return sum(op.renders for op in self.ops)

    @cached_property
    def children(self) -> tuple[tuple[str, Op], ...]:
        """The ops with the ids that their parameters' names begin with."""
        return identified(self.ops)

    @property
    def choices(self) -> int:
        """How many uniforms `decide` needs."""
        return 0

    def decide(self, u: Tensor) -> tuple[dict[str, Tensor], list[Tensor] | None]:
        """Maps uniforms to the combinator's own parameters, and to which ops act.

        Args:
            u: `(B, choices)` float64.

        Returns:
            Its own parameters; and for each op, `(B,)` bool, or None if all always act.
        """
        return {}, None

    @cached_property
    def twins(self) -> Groups:
        """Ops that are the same but for their ids, and whose parameters may change places."""
        if not self.keeps_size:
            return ()  # what an op does to a size, another elsewhere does not do
        return twins([op for _, op in self.children])

    @cached_property
    def clashes(self) -> Clashes:
        """Which of its ops can be seen to come one before the other."""
        return Clashes([(f"{name}.", op) for name, op in self.children])

    def odds(self) -> Odds | None:
        """How likely its ops act; None where their columns are no mixture of the ops' own."""
        return (1.0,) * len(self.children), lambda k, m: 1.0

    def moments(
        self, size: Size | None = None, codecs: Mapping[str, Codec] | None = None
    ) -> Moments:
        """See `Op.moments`: those of its ops, as likely as they act; its own are not known."""
        own = unknown(sum(p.codec.width for p in self.own_parameters()))
        inside = zip(self.children, self._inside(Incoming(size)), strict=False)
        parts = [op.moments(at.size) for (_, op), at in inside]
        odds = None if self.twins else self.odds()  # the parameters of twins change places
        if odds is None:
            return unknown(len(own.mean) + sum(len(part.mean) for part in parts))
        return together([own, together(parts, *odds)])

    def own_parameters(self) -> tuple[Parameter, ...]:
        """The parameters beside those of its ops; their columns come first."""
        return ()

    @property
    def keeps_size(self) -> bool:  # type: ignore[override]
        """See `Op.keeps_size`."""
        return all(op.keeps_size for _, op in self.children)

    @property
    def not_differentiable(self) -> str | None:  # type: ignore[override]
        """See `Op.not_differentiable`."""
        return next(
            (op.not_differentiable for _, op in self.children if op.not_differentiable), None
        )

    @property
    def not_scalable(self) -> str | None:  # type: ignore[override]
        """See `Op.not_scalable`."""
        return next((op.not_scalable for _, op in self.children if op.not_scalable), None)

    @property
    def identity_error(self) -> float:  # type: ignore[override]
        """See `Op.identity_error`; its ops are applied, not just rendered, so there is none."""
        return 0.0

    def output_size(self, size: Size) -> Size:
        """See `Op.output_size`."""
        for _, op in self.children:
            size = op.output_size(size)
        return size

    def fixed_output_size(self) -> Size | None:
        """See `Op.fixed_output_size`."""
        return self._inside(Incoming(None))[-1].size

    def _inside(self, incoming: Incoming) -> list[Incoming]:
        """What reaches each op, and what leaves the last."""
        found = [incoming]
        for _, op in self.children:
            found.append(op.outgoing(found[-1]))
        return found

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """Its own, then those of its ops; where an op can be left out, the identity can occur."""
        found = list(self.own_parameters())
        for (name, op), at in zip(self.children, self._inside(Incoming(size)), strict=False):
            for parameter in op.parameters(at.size):
                own = replace(parameter, name=f"{name}.{parameter.name}")
                found.append(_with_identity(own) if self.gates else own)
        return tuple(found)

    def motions(self) -> dict[str, Motion]:
        """See `Op.motions`: its own parameters by their codecs, those of its ops as the ops say."""
        found = {p.name: self.motion_of.get(p.name, p.codec.motion) for p in self.own_parameters()}
        for name, op in self.children:
            found |= {f"{name}.{key}": motion for key, motion in op.motions().items()}
        return found

    def streams(self) -> tuple[Stream, ...]:
        """See `Op.streams`: its own choices, then its ops in order."""
        if not self.parameters():
            return ()
        share = resolved(self.share)
        own = (Stream("", self.choices, share or Share()),) if self.choices else ()
        inner = (s.inside(name, share) for name, op in self.children for s in op.streams())
        return (*own, *inner)

    def draw(self, uniforms: Sequence[Tensor], size: Sizes) -> dict[str, Tensor]:
        """See `Op.draw`."""
        if not uniforms:
            return {}
        rest = list(uniforms)
        params: dict[str, Tensor] = {}
        acts: list[Tensor] | None = None
        if self.choices:
            params, acts = self.decide(rest.pop(0))
        for index, (name, op) in enumerate(self.children):
            count = len(op.streams())
            drawn, rest = op.draw(rest[:count], size), rest[count:]
            if acts is not None:
                drawn = op.gated(drawn, acts[index])
            params |= {f"{name}.{key}": value for key, value in drawn.items()}
            size = leaving(op, size)
        return params

    def parts(self, params: Parameters) -> Iterator[tuple[str, Op, dict[str, Tensor]]]:
        """Each op with its id and its own part of the parameters."""
        for name, op, keys in self._keys:
            yield name, op, {key: params[full] for key, full in keys if full in params}

    @cached_property
    def _keys(self) -> list[tuple[str, Op, list[tuple[str, str]]]]:
        """Each op with its id, and the names of its parameters: its own for them, and the full."""
        return [
            (name, op, [(p.name, f"{name}.{p.name}") for p in op.parameters()])
            for name, op in self.children
        ]

    def in_turn(self, params: Parameters) -> list[tuple[str, Op, dict[str, Tensor]]]:
        """Its `parts` in the order in which they act, for parameters of one sample."""
        return list(self.parts(params))

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """See `Op.canonical`: that of each op, and twins in the one order."""
        found = self.reduced(params)
        return self.exchanged(found) if self.twins else found

    def reduced(self, params: Parameters) -> dict[str, Tensor]:
        """The canonical form of each op, wherever it stands."""
        found = {p.name: params[p.name] for p in self.own_parameters()}
        for name, op, own in self.parts(params):
            found |= {f"{name}.{key}": value for key, value in op.canonical(own).items()}
        return found

    def exchanged(self, params: Parameters) -> dict[str, Tensor]:
        """The canonical form that twins have together, of `reduced` parameters.

        Here, for ops that act in the order in which they stand.
        """
        import torch

        acts, clash = torch.stack(self.acting(params), dim=-1), self.clashes(params)
        return self.renamed(params, listed(self.twins, acts, clash, self.ranks(params)))

    def ranks(self, params: Parameters) -> list[Tensor]:
        """For each op, how many of its twins come before it by what they do: `(B,)` each."""
        twin = {k for group in self.twins for k in group}
        parts = enumerate(self.parts(params))
        keys = [key(op, own) if k in twin else None for k, (_, op, own) in parts]
        return ranks(self.twins, keys, next(iter(params.values())))

    def renamed(self, params: Parameters, place: Sequence[Tensor]) -> dict[str, Tensor]:
        """The parameters with those of twins exchanged; differentiable.

        Args:
            params: the parameters.
            place: for each op, `(B,)` int64: the twin whose parameters it gets.
        """
        import torch

        found, parts = dict(params), [own for _, _, own in self.parts(params)]
        for group in self.twins:
            for k in group:
                name = self.children[k][0]
                for index, parameter in enumerate(parts[k]):
                    value = parts[k][parameter]
                    for other in group:
                        if other != k:
                            theirs = list(parts[other].values())[index]
                            value = torch.where(place[k] == other, theirs, value)
                    found[f"{name}.{parameter}"] = value
        return found

    def nearest(self, params: Parameters) -> dict[str, Tensor]:
        """See `Op.nearest`: its own, and those of each of its ops."""
        found = {p.name: params[p.name].clamp(*p.possible) for p in self.own_parameters()}
        for name, op, own in self.parts(params):
            found |= {f"{name}.{key}": value for key, value in op.nearest(own).items()}
        return found

    def encode_canonical(self, params: Parameters) -> Tensor:
        """See `Op.encode_canonical`."""
        import torch

        columns = [p.codec.encode(params[p.name]) for p in self.own_parameters()]
        columns += [op.encode_canonical(own) for _, op, own in self.parts(params) if own]
        return torch.cat(columns, dim=-1)

    def decode(self, code: Tensor) -> dict[str, Tensor]:
        """See `Op.decode`."""
        params = {}
        for parameter in self.own_parameters():
            width = parameter.codec.width
            params[parameter.name] = parameter.codec.decode(code[:, :width])
            code = code[:, width:]
        for name, op in self.children:
            width = sum(p.codec.width for p in op.parameters())
            if op.parameters():
                own = op.decode(code[:, :width])
                params |= {f"{name}.{key}": value for key, value in own.items()}
            code = code[:, width:]
        return params

    def acting(self, params: Parameters) -> list[Tensor]:
        """Which samples each op changes, `(B,)` bool each; an empty `sequence` changes none."""
        import torch

        idle = torch.zeros_like(next(iter(params.values())), dtype=torch.bool)
        return [op.active(own) if own else idle for _, op, own in self.parts(params)]

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        import torch

        return torch.stack(self.acting(params)).any(dim=0)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`: its ops one after the other, each on the samples that it changes."""
        for _, op, own in self.parts(params):
            x = op.apply(x, own)
        return x

    def apply(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.apply`."""
        return self.render(x, params)

    @property
    def in_order(self) -> bool:
        """Whether its ops act one after the other as they are listed, if they act."""
        return True

    @property
    def geometric(self) -> bool:  # type: ignore[override]
        """See `Op.geometric`: whether each of its ops is; one without ops moves nothing."""
        return all(op.geometric for _, op in self.children)

    @property
    def bends(self) -> bool:
        """See `Op.bends`: whether one of its ops does."""
        return any(op.bends for _, op in self.children)

    def moves(self, params: Parameters, size: Size, batch: int = 1) -> list[Move]:
        """See `Op.moves`: those of its ops; one that does not act has the identity's."""
        found = []
        for _, op, own in self.parts(params):
            found += op.moves(own, size, batch)
            size = op.output_size(size)
        return found

    def faults(self, incoming: Incoming) -> list[Fault]:
        """See `Op.faults`: those of its ops, and ops that cannot stand here."""
        faults = [fault.under("ops") for fault in list_faults(self.ops, incoming)]
        for index, (_, op) in enumerate(self.children):
            where = ("ops", index, "op")
            if not self.resizes and not op.keeps_size:
                message = f"{op.tag()} changes the size of the image, which {self.tag()} must keep"
                message += f": put it before or after {self.tag()}"
                faults.append(Fault(where, message, Code.CHANGES_SIZE))
            elif self.gates and not op.can_be_left_out and self._renders(op):
                message = f"{op.tag()} always acts, and {self.tag()} must be able to leave it out"
                message += f": put it before or after {self.tag()}"
                faults.append(Fault(where, message, Code.ALWAYS_ACTS))
        return faults

    @staticmethod
    def _renders(op: Op) -> bool:
        """Whether there is anything to leave out: an empty `sequence` has nothing."""
        return not isinstance(op, Combinator) or bool(op.ops)

    @cached_property
    def rendered(self) -> Sequence[tuple[str, Op, bool]]:  # type: ignore[override]
        """See `Op.rendered`."""
        return [
            (f"{name}.{prefix}", leaf, in_mean)
            for name, op in self.children
            for prefix, leaf, in_mean in op.rendered
        ]

    def leaves(self) -> Iterator[tuple[tuple[str | int, ...], Op]]:
        """See `Op.leaves`."""
        for index, op in enumerate(self.ops):
            for path, leaf in op.leaves():
                yield ("ops", index, *path), leaf

    @property
    def can_be_left_out(self) -> bool:
        """See `Op.can_be_left_out`: whether each of its ops can be."""
        return all(op.can_be_left_out for _, op in self.children if self._renders(op))

    @property
    def can_act(self) -> bool:
        """See `Op.can_act`; an empty `sequence` is how a recipe writes that nothing happens."""
        return any(op.can_act for _, op in self.children)


def _with_identity(parameter: Parameter) -> Parameter:
    """The parameter with a range that holds its identity too."""
    if parameter.low is None or parameter.high is None:
        return parameter
    low, high = min(parameter.low, parameter.identity), max(parameter.high, parameter.identity)
    return replace(parameter, low=low, high=high)

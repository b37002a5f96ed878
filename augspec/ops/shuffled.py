"""What combinators share that apply their ops in an order drawn for each sample."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from augspec.encoding.codecs import Order
from augspec.language.codes import Code
from augspec.language.document import Fault
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Incoming, Move, Op, Parameters, Size
from augspec.ops.parameter import Parameter
from augspec.ops.twins import named

if TYPE_CHECKING:
    from torch import Tensor


class Shuffled(Combinator):
    """A combinator with an `order` among its parameters.

    The code holds a precedence for each pair of ops, 0 where either of the two changes nothing, or
    where the two commute.
    """

    @property
    def shuffles(self) -> bool:
        """Whether the order is drawn; otherwise it is the one written, and has no columns."""
        return len(self.ops) > 1

    @property
    def codec(self) -> Order:
        """How the order is encoded."""
        return Order(len(self.ops))

    def own_parameters(self) -> tuple[Parameter, ...]:
        """The index of the order among all orders of the ops."""
        if not self.shuffles:
            return ()
        last = float(self.codec.orders - 1)
        order = Parameter("order", "permutation", 0.0, 0.0, last, self.codec, differentiable=False)
        return (order,)

    def exchanged(self, params: Parameters) -> dict[str, Tensor]:
        """See `Combinator.exchanged`: twins are named in the order in which they come.

        Of the orders that are one product, the first by what the ops do decides.
        """
        if not self.shuffles:
            return super().exchanged(params)
        import torch

        from augspec.kernels.orders import linear_extension

        position = self.codec.permutation(params["order"]).argsort(dim=-1)
        before = self.clashes(params) & (position[:, :, None] < position[:, None, :])
        count = len(self.children)
        kind = {k: group[0] for group in self.twins for k in group}
        ranks = [
            torch.where(acts, rank + kind.get(k, k) * count, count * count)  # what is idle is last
            for k, (rank, acts) in enumerate(
                zip(self.ranks(params), self.acting(params), strict=True)
            )
        ]
        order = linear_extension(before, torch.stack(ranks, dim=-1))
        place, order = named(self.twins, order)
        return self.renamed(params, place) | {"order": self.codec.index(order)}

    def encode_canonical(self, params: Parameters) -> Tensor:
        """See `Op.encode_canonical`; a precedence is 0 where no image can show it."""
        import torch

        code = super().encode_canonical(params)
        if not self.shuffles:
            return code
        width = self.codec.width
        seen = self.codec.seen(code[:, :width], self.clashes(params))
        return torch.cat([seen, code[:, width:]], dim=-1)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`: in the k-th round, each op acts on the samples whose k-th it is."""
        if not self.shuffles:
            return super().render(x, params)
        from augspec.kernels.rows import on_rows

        parts = list(self.parts(params))
        for step in self.codec.permutation(params["order"]).unbind(-1):
            for index, (_, op, own) in enumerate(parts):
                x = on_rows(step == index, partial(_apply, op, tuple(own)), x, *own.values())
        return x

    def in_turn(self, params: Parameters) -> list[tuple[str, Op, dict[str, Tensor]]]:
        """See `Combinator.in_turn`; makes the host wait where the order is drawn."""
        parts = super().in_turn(params)
        if not self.shuffles:
            return parts
        return [parts[k] for k in self.codec.permutation(params["order"])[0].tolist()]

    @property
    def in_order(self) -> bool:
        """See `Combinator.in_order`."""
        return not self.shuffles

    def moves(self, params: Parameters, size: Size, batch: int = 1) -> list[Move]:
        """See `Op.moves`: in the k-th round, those of the op whose k-th it is."""
        if not self.shuffles:
            return super().moves(params, size, batch)
        import torch

        of_ops = [op.moves(own, size, batch) for _, op, own in self.parts(params)]
        still = torch.eye(3, dtype=torch.float64, device=params["order"].device)
        found = []
        for step in self.codec.permutation(params["order"]).unbind(-1):
            for number in range(max(len(moves) for moves in of_ops)):
                matrix = still.expand(len(step), 3, 3)
                for index, moves in enumerate(of_ops):
                    if number < len(moves):
                        turn = (step == index)[:, None, None]
                        matrix = torch.where(turn, moves[number][0], matrix)
                found.append((matrix, size))  # none of its ops changes the size
        return found

    def faults(self, incoming: Incoming) -> list[Fault]:
        """See `Op.faults`; a float64 tells apart the orders of at most 18 ops."""
        faults = super().faults(incoming)
        if self.shuffles and len(self.ops) > Order.MOST:
            message = f"at most {Order.MOST} ops can be put in random order, got {len(self.ops)}"
            faults.append(Fault(("ops",), message, Code.TOO_MANY))
        return faults


def _apply(op: Op, names: tuple[str, ...], rows: Tensor, *values: Tensor) -> Tensor:
    return op.apply(rows, dict(zip(names, values, strict=True)))

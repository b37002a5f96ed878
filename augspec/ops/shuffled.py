"""What combinators share that apply their ops in an order drawn for each sample."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from augspec.encoding.codecs import Order
from augspec.language.codes import Code
from augspec.language.document import Fault
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Incoming, Op, Parameter, Parameters

if TYPE_CHECKING:
    from torch import Tensor


class Shuffled(Combinator):
    """A combinator with an `order` among its parameters.

    The code holds a precedence for each pair of ops, 0 where either of the two changes nothing.
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

    def encode_canonical(self, params: Parameters) -> Tensor:
        """See `Op.encode_canonical`; a precedence is 0 where either of its ops is neutral."""
        import torch

        code = super().encode_canonical(params)
        if not self.shuffles:
            return code
        width, acting = self.codec.width, torch.stack(self.acting(params), dim=-1)
        seen = self.codec.unseen(code[:, :width], acting)
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

    def faults(self, incoming: Incoming) -> list[Fault]:
        """See `Op.faults`; a float64 tells apart the orders of at most 18 ops."""
        faults = super().faults(incoming)
        if self.shuffles and len(self.ops) > Order.MOST:
            message = f"at most {Order.MOST} ops can be put in random order, got {len(self.ops)}"
            faults.append(Fault(("ops",), message, Code.TOO_MANY))
        return faults


def _apply(op: Op, names: tuple[str, ...], rows: Tensor, *values: Tensor) -> Tensor:
    return op.apply(rows, dict(zip(names, values, strict=True)))

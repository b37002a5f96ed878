"""The ops of a view, those inside combinators included, each with its own part of one draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from augspec.compiler.plan import Step
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op, Size


@dataclass(frozen=True)
class Node:
    """One op in its place.

    Attributes:
        path: the op's id, after those of the combinators that it is in.
        op: the op.
        params: one draw of it, `(1,)` each, by its own names.
        size: the size of the image that reaches it.
    """

    path: str
    op: Op
    params: Mapping[str, Tensor]
    size: Size

    @property
    def is_leaf(self) -> bool:
        """Whether it renders by itself, and does not only lead other ops."""
        return not isinstance(self.op, Combinator)

    @property
    def size_after(self) -> Size:
        """The size of the image that leaves it."""
        return self.op.output_size(self.size)

    def at_identity(self) -> dict[str, Tensor]:
        """Its parameters where it changes nothing."""
        return self.op.gated(self.params, torch.tensor([False]))


def root(step: Step, params: Mapping[str, Tensor], size: Size) -> Node:
    """One step of a view.

    Args:
        step: the step.
        params: one draw of the view, by `op.parameter`.
        size: the size of the image that reaches the step.
    """
    return Node(step.id, step.op, {name: params[step.key(name)] for name in step.parameters}, size)


def children(node: Node) -> Iterator[Node]:
    """The ops of a combinator in the order in which they act; none for another op."""
    if not isinstance(node.op, Combinator):
        return
    size = node.size
    for name, op, own in node.op.in_turn(node.params):
        yield Node(f"{node.path}.{name}", op, own, size)
        size = op.output_size(size)


def walk(node: Node) -> Iterator[Node]:
    """The op, and all that is inside it."""
    yield node
    for child in children(node):
        yield from walk(child)

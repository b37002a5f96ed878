"""Twins: ops of one combinator that are the same but for their ids, and so may exchange names.

Which of two equal ops was drawn, or which of them was drawn first, no image can show. The functions
here say which of the equal ways to write it is the canonical one. All is decided by what a float32
code carries, so that a decoded code has the same code again, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from augspec.ops.commute import rule
from augspec.ops.contract import Op, Parameters

if TYPE_CHECKING:
    from torch import Tensor

Groups: TypeAlias = tuple[tuple[int, ...], ...]
"""The indices of ops that are twins, ascending, two or more in each group."""


def twins(ops: Sequence[Op]) -> Groups:
    """Finds the twins; ops that are written differently are none, whatever they may draw.

    Nor are ops without parameters: there is nothing to exchange.
    """
    written: dict[str, list[int]] = {}
    known: dict[int, str] = {}
    for index, op in enumerate(ops):
        if id(op) not in known:
            known[id(op)] = json.dumps(_unnamed(op.model_dump(mode="json")), sort_keys=True)
        if op.parameters():
            written.setdefault(known[id(op)], []).append(index)
    return tuple(tuple(same) for same in written.values() if len(same) > 1)


def _unnamed(document: Any) -> Any:
    """An op as plain data, without names and without whom it shares its draws with."""
    if isinstance(document, list):
        return [_unnamed(part) for part in document]
    if not isinstance(document, dict):
        return document
    dropped = ("id", "share") if "op" in document else ()
    return {key: _unnamed(part) for key, part in document.items() if key not in dropped}


def key(op: Op, params: Parameters) -> Tensor:
    """What says in which order twins come that commute: `(B, W)`, of canonical parameters.

    First which of the ops that it runs act (what acts comes first), and then the parameters of
    those that commute with their like: no other can act in two twins that commute.
    """
    import torch

    idle: list[Tensor] = []
    values: list[Tensor] = []
    for prefix, leaf, in_mean in op.rendered:
        own = {p.name: params[prefix + p.name] for p in leaf.parameters()}
        idle.append(~leaf.active(own))
        if not in_mean and rule(leaf, leaf)[0] is not False:
            values += leaf.decode(leaf.encode_canonical(own).float()).values()
    if any(in_mean for _, _, in_mean in op.rendered):  # their weights count, too
        values += op.decode(op.encode_canonical(params).float()).values()
    return torch.stack([*idle, *values], dim=-1).double().detach()


def ranks(groups: Groups, keys: Sequence[Tensor | None], like: Tensor) -> list[Tensor]:
    """For each of K ops, how many of its twins come before it by their keys: `(B,)` each.

    Args:
        groups: the twins.
        keys: for each op that is a twin, its `key`.
        like: `(B,)`, gives the number of samples and the device.
    """
    import torch

    from augspec.kernels.orders import lexicographic_rank

    found = [torch.zeros_like(like, dtype=torch.int64) for _ in keys]
    for group in groups:
        rank = lexicographic_rank(torch.stack([keys[k] for k in group], dim=1))  # type: ignore[misc]
        for k, own in zip(group, rank.unbind(-1), strict=True):
            found[k] = own
    return found


def listed(groups: Groups, acts: Tensor, clash: Tensor, rank: Sequence[Tensor]) -> list[Tensor]:
    """The canonical form of a list of ops that act in the order in which they stand.

    What acts stands as early as its twins' places allow: an op moves to the place of an idle twin,
    past ops with which it commutes. And two twins change places where nothing that acts in between
    forbids it, and the later one is the first by rank.

    Args:
        groups: the twins among K ops.
        acts: `(B, K)` bool.
        clash: `(B, K, K)` bool, which ops can be seen to come one before the other.
        rank: for each op, `(B,)`.

    Returns:
        For each place, `(B,)` int64: the op whose parameters come there.
    """
    import torch

    count = acts.shape[-1]
    ranks = torch.stack(list(rank), dim=-1)
    pairs = clash.flatten(1)
    place = unmoved(count, ranks[:, 0])

    def at(values: Tensor, k: int) -> Tensor:
        """What `(B, K)` values the op at place k has."""
        return values.gather(1, place[k][:, None])[:, 0]

    def free(k: int, others: range) -> Tensor:
        """Whether the op at place k clashes with none of those at other places."""
        clear = torch.ones_like(acts[:, 0])
        for other in others:
            pair = place[k] * count + place[other]
            clear = clear & ~pairs.gather(1, pair[:, None])[:, 0]
        return clear

    def exchange(first: int, second: int, where: Tensor) -> None:
        one, two = place[first], place[second]
        place[first], place[second] = torch.where(where, two, one), torch.where(where, one, two)

    for group in groups:
        for index, first in enumerate(group):
            for later in group[index + 1 :]:
                may = at(acts, later) & free(later, range(first, later))
                exchange(first, later, may & ~at(acts, first))
            for later in group[index + 1 :]:
                may = at(acts, later) & free(later, range(first, later))
                may = may & free(first, range(first + 1, later + 1))
                exchange(first, later, may & (at(ranks, later) < at(ranks, first)))
    return place


def named(groups: Groups, order: Tensor) -> tuple[list[Tensor], Tensor]:
    """Names twins in the order in which they come.

    Args:
        groups: the twins among K ops.
        order: `(B, K)` int64: entry k is the op that comes k-th.

    Returns:
        For each name, `(B,)` int64, the op that gets it; and the order by the new names.
    """
    import torch

    position = order.argsort(dim=-1)
    place, name = (unmoved(order.shape[-1], order[:, 0]) for _ in range(2))
    for group in groups:
        sooner = torch.stack([position[:, k] for k in group], dim=-1).argsort(dim=-1)
        later = sooner.argsort(dim=-1)
        for k, number in enumerate(group):
            place[number] = look_up(sooner[:, k], group)
            name[number] = look_up(later[:, k], group)
    return place, torch.stack(name, dim=-1).gather(1, order)


def unmoved(count: int, like: Tensor) -> list[Tensor]:
    """Every op in its place: `(B,)` int64 for each of `count`."""
    import torch

    return [torch.full_like(like, k, dtype=torch.int64) for k in range(count)]


def look_up(index: Tensor, values: Sequence[int]) -> Tensor:
    """`values[index]`, without a table that would have to be copied to a GPU."""
    return sum((index == k).long() * value for k, value in enumerate(values))  # type: ignore[return-value]

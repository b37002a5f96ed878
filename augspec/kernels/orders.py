"""Orders of a few things, one for each sample: which precedences leave open, and by which keys."""

import torch
from torch import Tensor


def linear_extension(before: Tensor, rank: Tensor) -> Tensor:
    """The first order by rank that keeps all precedences.

    Kahn's topological sort: each place goes to the thing of the lowest rank that has nothing left
    to wait for. Precedences that go in a circle cannot all be kept: then it goes to one of those
    that have the least to wait for.

    Args:
        before: `(B, K, K)` bool, `[b, i, j]` where thing i must come before thing j.
        rank: `(B, K)`, any numbers; equals are taken in the order of their indices.

    Returns:
        `(B, K)` int64: entry k is the thing that comes k-th.
    """
    count = rank.shape[-1]
    waits = before.sum(dim=-2)
    place = rank.argsort(dim=-1, stable=True).argsort(dim=-1)
    taken = torch.zeros_like(waits)
    order = []
    for _ in range(count):
        # a rank is below `count`, and what waits for more never comes before what waits for less
        score = (waits + taken * (count + 1)) * count + place
        thing = score.argmin(dim=-1, keepdim=True)
        order.append(thing)
        taken = taken.scatter(-1, thing, 1)
        waits = waits - before.gather(-2, thing[..., None].expand(-1, -1, count))[:, 0].long()
    if not order:
        return place
    return torch.cat(order, dim=-1)


def lexicographic_rank(keys: Tensor) -> Tensor:
    """How many of a sample's things come before each one, compared by the first key that differs.

    Args:
        keys: `(B, K, W)` real numbers.

    Returns:
        `(B, K)` int64; equal things have equal ranks.
    """
    if not keys.shape[-1]:
        return torch.zeros(keys.shape[:-1], dtype=torch.int64, device=keys.device)
    sign = (keys[:, :, None] - keys[:, None]).sign()  # [b, i, j]: of thing i less thing j
    first = (sign != 0).int().argmax(dim=-1, keepdim=True)
    return (sign.gather(-1, first)[..., 0] > 0).sum(dim=-1)

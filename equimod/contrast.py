"""The normalised cross entropy of embeddings against others, in chunks that fit a memory budget.

The logits of N images with R rows each against M images are N * R by M * R numbers: 1 GiB of them
at 16,384 rows, and autograd keeps several copies. Here one buffer holds them for a few images at a
time. The gradient of the mean is found in the same pass, while a chunk's weights are at hand, since
a row needs nothing of the others; the backward pass only scales it by what arrives.

A row's loss is log(1 + sum over negatives of exp(logit - positive)). What a row is not contrasted
with is left out within the chunk that holds it, before anything is summed, and the positive is
summed last: a loss far below 1 and its gradient keep their digits.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = 32 * 2**20
"""The memory of one chunk of logits: 2048 rows against 4096 in float32 are one chunk.

Read at each call. Less is slower for the CPU's matrix products, and more is no faster.
"""


def contrast(anchors: Tensor, keys: Tensor, first: int, *, siblings: bool) -> Tensor:
    """The mean cross entropy of each anchor's positive among that and its negatives.

    An image has R = 2V rows: V targets and V predictions. A row's positive is the row V further on,
    modulo R, of the same image among the keys. Its negatives are all rows of other images and, with
    `siblings`, those rows of its image that are neither itself nor its positive.

    Differentiable any number of times; a second derivative takes all logits at once.

    Args:
        anchors: `(N, R, D)` float embeddings, already divided by the temperature.
        keys: `(M, R, D)` embeddings of all images, those of the anchors among them.
        first: where the images of the anchors begin among the keys.
        siblings: whether the other rows of the same image are negatives.

    Returns:
        The mean over the N * R anchors, a scalar.
    """
    needed = torch.is_grad_enabled() and (anchors.requires_grad or keys.requires_grad)
    mean: Tensor = _Contrast.apply(anchors, keys, first, siblings, needed)[0]
    return mean


class _Contrast(torch.autograd.Function):
    """The mean, and its gradients by anchors and keys, which `forward` gives as outputs as well.

    As outputs because `torch.func` lets nothing else be kept between `forward` and `backward`.
    """

    @staticmethod
    def forward(
        anchors: Tensor, keys: Tensor, first: int, siblings: bool, needed: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        count, roles, _ = anchors.shape
        partner, excluded = _roles(roles, siblings, anchors.device)
        columns = keys.flatten(0, 1)
        size = _images_in_a_chunk(count, roles * len(columns) * anchors.element_size())
        buffer = anchors.new_empty(size * roles, len(columns))
        by_anchors = torch.empty_like(anchors) if needed else None
        by_keys = torch.zeros_like(columns) if needed else None
        scale = 1 / max(1, count * roles)
        excesses = []
        for start in range(0, count, size):
            images = slice(start, min(start + size, count))
            rows = anchors[images].flatten(0, 1)
            logits = torch.mm(rows, columns.T, out=buffer[: len(rows)])
            own = _own(logits.view(-1, roles, len(keys), roles), first + start)
            positives = own[torch.arange(roles, device=rows.device), partner].T.flatten()
            own.masked_fill_(excluded[:, :, None], -torch.inf)
            # a row without negatives has -inf only, from which nothing may be subtracted
            largest = logits.amax(1).clamp_(min=torch.finfo(logits.dtype).min)
            weights = logits.sub_(largest[:, None]).exp_()
            negatives = largest + weights.sum(1).log()
            excesses.append(negatives - positives)
            if by_anchors is not None and by_keys is not None:
                whole = torch.logaddexp(negatives, positives)
                factors = (largest - whole).exp_().mul_(scale)[:, None]
                by_anchors[images] = (weights @ columns).mul_(factors).view_as(anchors[images])
                by_keys.addmm_(weights.T, rows * factors)
        excess = torch.cat(excesses).view(count, roles, 1) if excesses else anchors.new_empty(0)
        mean = torch.logaddexp(excess, excess.new_zeros(())).mean()
        if by_anchors is None or by_keys is None:
            return mean, None, None
        pulls = torch.sigmoid(excess).mul_(scale)
        by_keys = by_keys.view_as(keys)
        by_anchors -= pulls * keys.narrow(0, first, count)[:, partner]
        # a partner's partner is the row itself
        by_keys.narrow(0, first, count).sub_((pulls * anchors)[:, partner])
        return mean, by_anchors, by_keys

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor | None, Tensor | None]
    ) -> None:
        anchors, keys, first, siblings, needed = inputs
        ctx.options = first, siblings
        ctx.set_materialize_grads(False)  # or else zeros as large as the gradients are made
        if needed:
            ctx.mark_non_differentiable(*output[1:])
            ctx.save_for_backward(anchors, keys, *output[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        if grad is None:
            return (None,) * 5
        anchors, keys, by_anchors, by_keys = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return grad * by_anchors, grad * by_keys, None, None, None
        gradient = torch.func.vjp(partial(_at_once, *ctx.options), anchors, keys)[1]
        return *gradient(grad), None, None, None


def _at_once(first: int, siblings: bool, anchors: Tensor, keys: Tensor) -> Tensor:
    """The same mean from operations that autograd knows, with all logits in memory."""
    roles = anchors.shape[1]
    partner, excluded = _roles(roles, siblings, anchors.device)
    logits = torch.einsum("nrd,mcd->nrmc", anchors, keys)
    own = _own(logits, first)
    positives = own[torch.arange(roles, device=own.device), partner].T
    own.masked_fill_(excluded[:, :, None], -torch.inf)
    rows = torch.cat([positives[:, :, None], logits.flatten(2)], dim=2)
    return (rows.logsumexp(2) - positives).mean()


def _roles(count: int, siblings: bool, device: torch.device) -> tuple[Tensor, Tensor]:
    """The positive `(R,)` of each row of an image, and which `(R, R)` are not its negatives."""
    roles = torch.arange(count, device=device)
    partner = (roles + count // 2) % count
    if not siblings:
        return partner, torch.ones(count, count, dtype=torch.bool, device=device)
    return partner, (roles[:, None] == roles) | (partner[:, None] == roles)


def _own(logits: Tensor, first: int) -> Tensor:
    """Of logits `(N, R, M, R)`, those within an image, as a view `(R, R, N)`."""
    return logits.narrow(2, first, len(logits)).diagonal(dim1=0, dim2=2)


def _images_in_a_chunk(count: int, image_bytes: int) -> int:
    """How many images' logits to hold at a time, so that the chunks are of about one size."""
    most = max(1, CHUNK_BYTES // max(1, image_bytes))
    chunks = max(1, -(-count // most))
    return max(1, -(-count // chunks))

"""Run a kernel on some samples of a batch: by row indices on a CPU, by a mask elsewhere."""

from collections.abc import Callable

import torch
from torch import Tensor


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Shape `(B,)` values as `(B, 1, 1, 1)`, and cast them to the image's dtype."""
    return values.to(like.dtype).reshape(-1, 1, 1, 1)


def where_rows(mask: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    """Take the samples of `chosen` `(B, C, H, W)` where `mask` `(B,)` is true, else `other`'s."""
    return torch.where(mask.reshape(-1, 1, 1, 1), chosen, other)


def on_rows(active: Tensor, fn: Callable[..., Tensor], x: Tensor, *params: Tensor) -> Tensor:
    """Apply `fn(x, *params)` to the active samples and leave the others bit-equal.

    On a CPU in eager mode only the active rows are computed. On other devices, and under
    `torch.compile`, counting them would make the host wait: all rows are computed and masked. What
    `fn` returns for inactive rows is then discarded, but its *derivative* there is multiplied by
    zero, so `fn` must have finite derivatives for the parameters of inactive samples.

    Args:
        active: `(B,)` bool.
        fn: a kernel that keeps the shape and dtype of its first argument.
        x: `(B, C, H, W)` images.
        params: tensors whose first dimension is B.

    Returns:
        `(B, C, H, W)` images; `x` itself where a CPU finds no active sample.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return where_rows(active, fn(x, *params), x)
    rows = active.nonzero().squeeze(1)
    if rows.numel() == 0:
        return x
    if rows.numel() == x.shape[0]:
        return fn(x, *params)
    return x.index_copy(0, rows, fn(x[rows], *(param[rows] for param in params)))

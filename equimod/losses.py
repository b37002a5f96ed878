"""The losses: NT-Xent (SimCLR), its form over predicted embeddings (EquiMod), MoCo v3's and BYOL's.

The contrastive losses take embeddings of this process and contrast them with those of all
processes. Each rank has the rows of its own images and the keys of every image, so that time is
divided by the number of ranks; `equimod.distributed.gather` says why the gradient is that of one
process. Memory grows with the number of rows, not with its square: see `equimod.contrast`. The
value is the mean over this rank's rows: average it over ranks to report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

import augspec
from equimod import distributed
from equimod.contrast import contrast

Negatives = Literal["all", "no_sibling"]


def nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """SimCLR's normalised, temperature-scaled cross entropy (arXiv 2002.05709, Eq. 1).

    Each of the 2N embeddings must find its partner, by cosine, among the 2N - 1 others.

    Args:
        a: `(N, D)` embeddings of one view; they need not be normalised.
        b: `(N, D)` embeddings of the other, row for row of the same images.
        temperature: tau, the divisor of the cosines.

    Returns:
        The mean over the 2N rows, a scalar; float32 at least, also under autocast.
    """
    return equivariance_nt_xent([a], [b], temperature)


def equivariance_nt_xent(
    targets: Sequence[Tensor],
    predictions: Sequence[Tensor],
    temperature: float = 0.2,
    negatives: Negatives = "all",
) -> Tensor:
    """EquiMod's NT-Xent between views' embeddings and their predictions (arXiv 2211.01244, Eq. 4).

    For V views of N images there are 2VN rows; the positive of y_v is its prediction yhat_v of the
    same image, and the reverse. The two readings of the denominator:

    - `all`: every other row. The same image's other views and their predictions are negatives, as
      in the released code; this asks the embedding to tell the views of one image apart.
    - `no_sibling`: only the positive and the rows of other images, as Eq. 4 of the paper reads.

    With one view the two agree, and are SimCLR's NT-Xent of (y, yhat).

    Args:
        targets: V tensors `(N, D)`, the embeddings y_v of the augmented views.
        predictions: V tensors `(N, D)`, the predicted embeddings yhat_v.
        temperature: tau', the divisor of the cosines.
        negatives: what a row is contrasted with besides its positive.

    Returns:
        The mean over the 2VN rows, a scalar; float32 at least, also under autocast.

    Raises:
        ValueError: if there is no view, the tensors differ in number or shape, the temperature is
            not above 0, or `negatives` is neither of the two.
    """
    check_same_shape(targets, predictions)
    _check_options(temperature, negatives)
    with torch.autocast(targets[0].device.type, enabled=False):
        rows = torch.stack([at_least_float32(x) for x in (*targets, *predictions)], dim=1)
        rows = F.normalize(rows, dim=-1)  # (N, 2V, D)
        keys = distributed.gather(rows)  # (W * N, 2V, D)
        first = distributed.rank() * len(rows)
        return contrast(rows / temperature, keys, first, siblings=negatives == "all")


def info_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """The cross entropy of each query's own key among those of all images (MoCo v3, Eq. 1).

    Arxiv 2104.02057; without its factor of 2 tau. By cosine, as NT-Xent, but a query meets keys
    only: no other query, and no key of its own view.

    Args:
        queries: `(N, D)` embeddings of one view; they need not be normalised.
        keys: `(N, D)` embeddings of the other, row for row of the same images.
        temperature: tau, the divisor of the cosines.

    Returns:
        The mean over N, a scalar; float32 at least, also under autocast.

    Raises:
        ValueError: if the shapes differ, or the temperature is not above 0.
    """
    check_same_shape([queries], [keys])
    _check_options(temperature, "all")
    with torch.autocast(queries.device.type, enabled=False):
        q = F.normalize(at_least_float32(queries), dim=-1)
        everyone = distributed.gather(F.normalize(at_least_float32(keys), dim=-1))
        own = torch.arange(len(q), device=q.device) + distributed.rank() * len(q)
        return F.cross_entropy(q @ everyone.T / temperature, own)


def byol_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The squared distance of the normalised vectors, 2 - 2 cos (BYOL, arXiv 2006.07733, Eq. 2).

    Args:
        prediction: `(N, D)`, the online network's prediction.
        target: `(N, D)`, the target network's projection.

    Returns:
        The mean over N, a scalar in [0, 4]; float32 at least, also under autocast.
    """
    with torch.autocast(prediction.device.type, enabled=False):
        p, t = at_least_float32(prediction), at_least_float32(target)
        return (2 - 2 * F.cosine_similarity(p, t, dim=-1)).mean()


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor, if need be in single precision: that of losses, whatever autocast says."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _check_options(temperature: float, negatives: str) -> None:
    # a learnt temperature is not looked at: that would wait for its device
    if not isinstance(temperature, Tensor) and not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature!r}")
    allowed = get_args(Negatives)
    if negatives not in allowed:
        hint = augspec.meant(str(negatives), allowed)
        raise ValueError(f"negatives must be 'all' or 'no_sibling', not {negatives!r}{hint}")


def check_same_shape(targets: Sequence[Tensor], predictions: Sequence[Tensor]) -> None:
    """Checks that each target `(N, D)` has a prediction, and that all have one shape.

    Raises:
        ValueError: that is not so.
    """
    if not targets or len(targets) != len(predictions):
        raise ValueError(
            f"one prediction for each of at least one target is needed, not {len(targets)} targets "
            f"and {len(predictions)} predictions"
        )
    shapes = {tuple(x.shape) for x in (*targets, *predictions)}
    if len(shapes) > 1 or targets[0].ndim != 2:
        raise ValueError(f"targets and predictions must share one shape (N, D), not {shapes}")

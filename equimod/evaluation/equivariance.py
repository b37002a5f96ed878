"""How equivariant embeddings are: EquiMod's measures on embeddings (arXiv 2211.01244).

y0 is the embedding of the original, y that of the augmented image, yhat what the head predicts for
y from y0 and the code. Both measures compare the prediction with the prediction "nothing changes",
y0: the absolute one by the difference of cosines, the relative one by the ratio of distances.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6
"""The smallest cosine distance told from zero: float32 embeddings carry about 1e-7. Distances of
predictions are raised to it before they divide, so that one all but perfect prediction cannot
outweigh a data set; a sample whose y is nearer to y0 than this has not moved."""


@dataclass(frozen=True)
class EquivarianceMeasures:
    """The measures over a set of samples.

    Attributes:
        absolute: mean of `cos(y, yhat) - cos(y, y0)` over all samples; positive where predictions
            beat "nothing changes". In [-2, 2].
        absolute_error: standard error of that mean, with the images as the independent units: two
            views of one image are not two independent samples.
        relative: ratio of means, `mean(1 - cos(y, y0)) / mean(1 - cos(y, yhat))`, over the samples
            that moved; above 1 where predictions beat "nothing changes". The one to report.
        relative_mean: the mean of each sample's ratio, as published; heavy-tailed, so that a few
            well predicted samples can decide it.
        relative_median: the median of each sample's ratio.
        cos_prediction: mean of `cos(y, yhat)`.
        cos_identity: mean of `cos(y, y0)`.
        samples: how many samples there are.
        unmoved: how many of them have y equal to y0 (the draw was the identity); they have no
            ratio, and count in the absolute measure only.
    """

    absolute: float
    absolute_error: float
    relative: float
    relative_mean: float
    relative_median: float
    cos_prediction: float
    cos_identity: float
    samples: int
    unmoved: int

    def metrics(self, prefix: str = "") -> dict[str, float]:
        """The measures by name, those that are undefined (nothing moved) left out."""
        values = {prefix + name: float(value) for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if math.isfinite(value)}


def equivariance_measures(
    y0: Tensor,
    y: Tensor,
    yhat: Tensor,
    identity: Tensor | None = None,
    images: Tensor | None = None,
) -> EquivarianceMeasures:
    """EquiMod's absolute and relative measure.

    Args:
        y0: embeddings of the originals `(N, D)`.
        y: embeddings of the augmented images `(N, D)`.
        yhat: predictions of `y` `(N, D)`.
        identity: `(N,)` bool, which samples were drawn the identity (their code is zero); without
            it, those with `1 - cos(y, y0)` below `EPSILON`.
        images: `(N,)` integers, which image each sample shows; without it, each its own.

    Returns:
        The measures; the relative ones are NaN where no sample moved, and the standard error is
        NaN for a single image.

    Raises:
        ValueError: shapes differ, or there are no samples.
    """
    if y0.ndim != 2 or not y0.shape == y.shape == yhat.shape or len(y0) == 0:
        raise ValueError(
            "y0, y and yhat must have one shape (N, D) with N > 0, got "
            f"{tuple(y0.shape)}, {tuple(y.shape)} and {tuple(yhat.shape)}"
        )
    moved_by, missed_by = cosine_distance(y, y0), cosine_distance(y, yhat)
    still = moved_by < EPSILON if identity is None else identity.to(moved_by.device)
    gain = moved_by - missed_by
    moved, missed = moved_by[~still], missed_by[~still]
    ratios = moved / missed.clamp_min(EPSILON)
    return EquivarianceMeasures(
        absolute=float(gain.mean()),
        absolute_error=_standard_error(gain, images),
        relative=float(moved.mean() / missed.mean().clamp_min(EPSILON)),
        relative_mean=float(ratios.mean()),
        relative_median=float(ratios.quantile(0.5)) if len(ratios) else math.nan,
        cos_prediction=1.0 - float(missed_by.mean()),
        cos_identity=1.0 - float(moved_by.mean()),
        samples=len(y),
        unmoved=int(still.sum()),
    )


def _standard_error(values: Tensor, groups: Tensor | None) -> float:
    """The cluster-robust standard error of the mean of `(N,)` values; NaN for a single cluster.

    With every value a cluster of its own, this is `std / sqrt(N)`.
    """
    if groups is None:
        groups = torch.arange(len(values))
    members = groups.to(values.device).unique(return_inverse=True)[1]
    count = int(members.max()) + 1
    if count == 1:
        return math.nan
    sums = values.new_zeros(count).index_add_(0, members, values - values.mean())
    return math.sqrt(count / (count - 1) * float(sums.square().sum())) / len(values)


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """`1 - cos` of rows, `(N,)` float64, as half the squared distance of the unit vectors.

    Subtracting a cosine from 1 would lose the digits of small distances.
    """
    a, b = F.normalize(a.double(), dim=1), F.normalize(b.double(), dim=1)
    return (a - b).square().sum(dim=1) / 2


@dataclass(frozen=True)
class RetrievalMeasures:
    """How well predictions find their view among other views of the same image.

    Attributes:
        mrr: mean reciprocal rank of the right view, in (0, 1].
        hit_at_1: share of predictions that are nearest to the right view, in [0, 1].
        chance_mrr: what guessing gives with as many candidates.
        candidates: K, how many views of the image there are to choose from.
        queries: how many predictions were ranked.
    """

    mrr: float
    hit_at_1: float
    chance_mrr: float
    candidates: int
    queries: int

    def metrics(self, prefix: str = "") -> dict[str, float]:
        """The measures by name."""
        return {prefix + name: float(value) for name, value in asdict(self).items()}


def retrieval(yhat: Tensor, candidates: Tensor) -> RetrievalMeasures:
    """Ranks each prediction's true view among the K views of the same image, by cosine.

    Mean reciprocal rank and hit rate over an image's own augmentations, as in Garrido et al., 2023
    (SIE, arXiv 2302.10283). Unlike the cosines, this is comparable across heads and encoders: a
    rank does not change with the scale or the crowding of an embedding space, every encoder gets
    the same images and draws, guessing gives the same known value, and knowing the image does not
    help, since all candidates show it. It is still the head's score: a low one may mean that the
    encoder lost the augmentation or that the head could not read it.

    Args:
        yhat: predictions `(N, K, D)`, one for each view.
        candidates: embeddings of those views `(N, K, D)`: `candidates[n, k]` is the right answer to
            `yhat[n, k]`.

    Returns:
        The measures; views at equal distance are taken in random order, in expectation, so that a
        collapsed embedding scores exactly chance.

    Raises:
        ValueError: shapes differ, or there is nothing to rank.
    """
    if yhat.ndim != 3 or yhat.shape != candidates.shape or 0 in yhat.shape:
        raise ValueError(
            "predictions and candidates must have one shape (N, K, D), got "
            f"{tuple(yhat.shape)} and {tuple(candidates.shape)}"
        )
    k = yhat.shape[1]
    similarity = F.normalize(yhat, dim=2) @ F.normalize(candidates, dim=2).transpose(1, 2)
    right = similarity.diagonal(dim1=1, dim2=2)[:, :, None]
    nearer = (similarity > right).sum(dim=2)
    tied = (similarity == right).sum(dim=2)  # the right one itself included
    harmonic = torch.cat([torch.zeros(1), (1 / torch.arange(1, k + 1)).cumsum(0)]).double()
    harmonic = harmonic.to(yhat.device)
    # the mean of 1 / rank over the ranks nearer + 1 ... nearer + tied
    reciprocal = (harmonic[nearer + tied] - harmonic[nearer]) / tied
    return RetrievalMeasures(
        mrr=float(reciprocal.mean()),
        hit_at_1=float(((nearer == 0) / tied).double().mean()),
        chance_mrr=float(harmonic[k] / k),
        candidates=k,
        queries=nearer.numel(),
    )

"""How much a head's predictions use their codes: what they lose with the codes of other images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from augspec import sizes_of
from equimod.evaluation.equivariance import EPSILON, cosine_distance
from equimod.evaluation.images import Images
from equimod.evaluation.rendered import TEST_EPOCH

if TYPE_CHECKING:
    from equimod.evaluation.embedder import Embedder


def gain_over_shuffled(y: Tensor, yhat: Tensor, shuffled: Tensor) -> float:
    """By what share predictions get worse with another image's code.

    `mean(1 - cos(y, shuffled)) / mean(1 - cos(y, yhat)) - 1`: the ratio of means of the relative
    measure of `equivariance_measures`, with the prediction by a wrong code in the place of "nothing
    changes". 0 where predictions do not depend on their codes; exactly so where they are equal,
    since both means are raised to `EPSILON`.

    Args:
        y: embeddings of the augmented images `(N, D)`.
        yhat: predictions of `y` by the right codes `(N, D)`.
        shuffled: predictions of `y` by the codes of other images `(N, D)`.

    Returns:
        Above -1; NaN where something is not finite.
    """
    wrong, right = (cosine_distance(y, p).mean().clamp_min(EPSILON) for p in (shuffled, yhat))
    return float(wrong / right) - 1


def shuffled_gain(
    embedder: Embedder, images: Images, ids: Tensor, y0: Tensor, others: Tensor
) -> float:
    """`gain_over_shuffled` of all augmented views of a few images, in the draws of `TEST_EPOCH`.

    Every view is predicted from the original, also by a head that was trained to predict a `pair`
    of views from each other: then by the relative code from a view on which nothing acted.

    Args:
        embedder: the encoder, its head and the pipeline; in eval mode, without gradients.
        images: `(B, C, H, W)`, or ragged.
        ids: which images these are, `(B,)`.
        y0: embeddings of their reference view `(B, D)`.
        others: for each image, the row of the one whose code it gets instead, `(B,)`. Where a draw
            depends on the size of an image, it is made as if the other had this one's.
    """
    size = sizes_of(images)
    own, theirs = (embedder.pipeline.draw(which, TEST_EPOCH, size) for which in (ids, ids[others]))
    found = []
    for view in embedder.views:
        y = embedder.embed(images, view, own[view])
        told = own[view], theirs[view]
        found.append((y, *(embedder.predict(y0, images, view, code) for code in told)))
    return gain_over_shuffled(*(torch.cat(part) for part in zip(*found, strict=True)))

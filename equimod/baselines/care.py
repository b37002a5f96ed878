"""CARE: one augmentation turns all embeddings alike (Gupta et al., arXiv 2306.13924)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from equimod import distributed
from equimod.baselines.base import Neighbour, NeighbourOptions, Pair, require_rows
from equimod.baselines.inputs import Given, Reads
from equimod.heads import mlp
from equimod.losses import at_least_float32


class CARE(Neighbour):
    """Orthogonal equivariance on the sphere, and uniformity, of embeddings of its own.

    Where images share an augmentation, their inner products before and after must agree: that is so
    if and only if one orthogonal map takes the ones to the others. In the paper the embeddings are
    those that InfoNCE compares. Here the method keeps its projector; this one's embeddings, of the
    released shape, are kept from collapse by the uniformity of both augmented views.

    Args:
        feature_dim: F, the width of the encoder's features.
        hidden: the width of the projector's hidden layer.
        dim: the width of the embeddings.
        chunk: how many images in a row share the augmentations of the two extra views.
        equivariance: the weight of the equivariance loss.
        uniformity: the weight of the uniformity loss.
        temperature: of the uniformity loss.
    """

    def __init__(
        self,
        feature_dim: int,
        *,
        hidden: int = 512,
        dim: int = 128,
        chunk: int = 16,
        equivariance: float = 0.03,
        uniformity: float = 1.0,
        temperature: float = 0.5,
    ) -> None:
        super().__init__()
        self.chunk, self.temperature = chunk, temperature
        self.equivariance, self.uniformity = equivariance, uniformity
        self.projector = mlp((feature_dim, hidden, dim), last_norm="none")

    def forward(self, pair: Pair) -> Tensor:
        """See `Neighbour.forward`; `pair.extra` are the views with shared augmentations.

        Raises:
            ValueError: this process has no whole number of chunks.
        """
        require_rows("care", len(pair.extra[0]), self.chunk)
        projected = self.projector(torch.cat([*pair.features, *pair.extra]))
        with torch.autocast(projected.device.type, enabled=False):
            z1, z2, s1, s2 = F.normalize(at_least_float32(projected), dim=1).chunk(4)
            turned = orthogonal_equivariance(s1, s2, self.chunk)
            spread = uniformity(z1, z2, self.temperature)
            return self.equivariance * turned + self.uniformity * spread


def orthogonal_equivariance(a: Tensor, b: Tensor, chunk: int) -> Tensor:
    """How far inner products within a chunk change (arXiv 2306.13924, algorithm 1).

    The released code (utils.py, equivariance_loss) sums over the partners of a row and doubles the
    sum; its weights rest on that, and so this does, too.

    Args:
        a: `(N, D)` unit vectors, of images that share an augmentation within each chunk.
        b: `(N, D)`, the same images under another one.
        chunk: K, the images in a chunk; N is a multiple of it.

    Returns:
        The mean over the N rows, a scalar.
    """
    first, second = (x.unflatten(0, (-1, chunk)) for x in (a, b))
    change = first @ first.mT - second @ second.mT
    apart = 1 - torch.eye(chunk, dtype=change.dtype, device=change.device)
    return 2 * (change * apart).square().sum(dim=-1).mean()


def uniformity(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """The logarithm of the sum over other images of exp(cosine / temperature), as released.

    Args:
        a: `(N, D)` unit vectors of one view.
        b: `(N, D)` of the other.
        temperature: tau.

    Returns:
        The mean over the 2N rows of this process, a scalar; all processes' images are the others.
    """
    own = torch.stack([a, b], dim=1)
    everyone = distributed.gather(own)
    logits = torch.einsum("nrd,mcd->nrmc", own, everyone) / temperature
    images = distributed.rank() * len(own) + torch.arange(len(own), device=own.device)
    same = images[:, None] == torch.arange(len(everyone), device=own.device)
    logits = logits.masked_fill(same[:, None, :, None], -torch.inf)
    return logits.flatten(2).logsumexp(dim=2).mean()


class CAREConfig(NeighbourOptions):
    """CARE (Gupta et al., ICLR 2024); the defaults are those of its CIFAR-10 script."""

    reads: ClassVar[Reads] = "nothing"
    name: Literal["care"] = "care"

    views: tuple[str, str] = ("chunk_first", "chunk_second")
    """Views in which all images of a chunk share their draws (`share: {samples: 16}`)."""
    chunk: int = Field(default=16, ge=2)
    """Images in a chunk; each process needs whole ones."""
    equivariance: float = Field(default=0.03, ge=0)
    """Weight of the equivariance loss."""
    uniformity: float = Field(default=1.0, ge=0)
    """Weight of the uniformity loss."""
    temperature: float = Field(default=0.5, gt=0)
    """Temperature of the uniformity loss."""
    hidden: int = Field(default=512, ge=1)
    """Width of the projector's hidden layer."""
    dim: int = Field(default=128, ge=1)
    """Width of the embeddings."""

    @property
    def extra_views(self) -> tuple[str, ...]:
        """See `NeighbourOptions.extra_views`."""
        return self.views

    @property
    def shared(self) -> tuple[tuple[str, ...] | None, int]:
        """See `NeighbourOptions.shared`."""
        return self.views, self.chunk

    def build(self, feature_dim: int, given: Given) -> CARE:
        """See `NeighbourOptions.build`."""
        left_out = {"name", "views", "weight", "method_weight"}
        return CARE(feature_dim, **self.model_dump(exclude=left_out))

"""Projection heads: multi-layer perceptrons with batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

LastNorm = Literal["none", "affine", "plain"]


def mlp(widths: Sequence[int], *, last_norm: LastNorm, last_bias: bool = True) -> nn.Sequential:
    """Linear, batch norm, ReLU, ..., and a last linear layer.

    A linear layer that a batch norm follows has no bias, which the norm would remove. The layers
    are those of the code released with EquiMod: SimCLR's projector and g' are `(F, 2048, 2048,
    128)` with a `plain` last norm, BYOL's projector and predictor `(F, 4096, 256)` with `none`.

    Args:
        widths: input, hidden and output widths; at least input and output.
        last_norm: what follows the last linear layer: `none`, `affine` (a
            batch norm with learned scale and shift) or `plain` (one without).
        last_bias: whether the last linear layer has a bias where no norm follows it.

    Returns:
        A module mapping `(N, widths[0])` to `(N, widths[-1])`.

    Raises:
        ValueError: for fewer than two widths.
    """
    if len(widths) < 2:
        raise ValueError(f"an MLP needs an input and an output width, not {list(widths)}")
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths[:-1]):
        layers += [nn.Linear(fan_in, fan_out, bias=False), nn.BatchNorm1d(fan_out), nn.ReLU()]
    layers.append(nn.Linear(widths[-2], widths[-1], bias=last_bias and last_norm == "none"))
    if last_norm != "none":
        layers.append(nn.BatchNorm1d(widths[-1], affine=last_norm == "affine"))
    return nn.Sequential(*layers)

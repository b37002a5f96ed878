"""Stable codes of the mistakes in meaning; each has a page, `docs/errors/CODE.md`.

A code never changes its meaning and is never used again: people search for it, and filter by it.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The code of a mistake in meaning, by what is wrong."""

    VIEW_SIZES = "AS101"
    """Views end in different sizes, and do not say that they mean to."""

    AFTER_NORMALIZE = "AS102"
    """A spec normalises before it is done augmenting."""

    SIGMA_FOR_KERNEL = "AS103"
    """A blur's sigma is too large for its kernel."""

    NEVER_ACTS = "AS104"
    """An op can never change an image."""

    SOLARIZE_THRESHOLD = "AS105"
    """A solarize threshold outside [0, 1]."""

    NOT_DIFFERENTIABLE = "AS106"
    """An op that lets no gradient through, where the spec asks for gradients."""

    ALWAYS_ACTS = "AS107"
    """An op that cannot be left out stands where a combinator must be able to leave it out."""

    CHANGES_SIZE = "AS108"
    """An op that changes the size of the image stands where the size must stay."""

    IMAGE_SIZE = "AS109"
    """The image that reaches an op does not have a size that suits it."""

    NEEDS_COLOUR = "AS110"
    """An op on colours, and images with one channel."""

    SAME_ID = "AS111"
    """Two ops of a list have one id."""

    LIKE = "AS112"
    """A view is derived from a view, or redraws an op, that is not there."""

    CHANNELS = "AS113"
    """`normalize` has another number of channels than the images."""

    TOO_MANY = "AS114"
    """A combinator makes more of its ops than can be told apart or run."""

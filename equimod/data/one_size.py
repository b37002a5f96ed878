"""Whether views bring images of different sizes to one, as an encoder needs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from equimod.data.base import CorruptImageError, DataError, ImageData

if TYPE_CHECKING:
    from augspec import Plan

Size = tuple[int, int]


def require_one_size(data: ImageData, plan: Plan, views: Iterable[str]) -> None:
    """Checks, before anything is computed, that each of these views has one size.

    Most views say so themselves. For those that do not, the headers of the images are read, up to
    the first two that come out in different sizes.

    Args:
        data: the images.
        plan: of the augmentations.
        views: the names of the views.

    Raises:
        DataError: the images have sizes of their own, and a view leaves them in different ones.
    """
    if data.image_size is not None:
        return
    for name in views:
        if plan.view(name).output_size(None) is None:
            _compare(data, plan, name)


def _compare(data: ImageData, plan: Plan, name: str) -> None:
    """Compares what the view makes of every image."""
    first: Size | None = None
    for index in range(len(data)):
        try:
            size = data.size(index)
        except CorruptImageError:
            continue  # the loader's matter
        left = plan.view(name).output_size(size)
        first = first or left
        if left != first:
            one, other = ("x".join(map(str, found)) for found in (first or (), left or ()))
            raise DataError(
                f"{data.title}: the images are read in their original sizes, and view {name!r} "
                f"leaves them in different ones, such as {one} and {other}; give it an op that "
                "decides the size, such as `center_crop`, `resized_crop` or `resize` with two "
                "numbers, or set data.size to a number"
            )

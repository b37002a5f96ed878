"""What images and processes must be for a run: checked before anything is computed."""

from __future__ import annotations

from augspec import Spec
from equimod.data import DataError
from equimod.data.base import CHANNELS


def require_images(spec: Spec, size: tuple[int, int] | None, described: str = "") -> None:
    """Checks that the images are those that an augmentation spec speaks of.

    Args:
        spec: the augmentations.
        size: height and width of the images; None where each has a size of its own.
        described: the data, for the message.

    Raises:
        DataError: they have another size or another number of channels.
    """
    if spec.input_size not in (None, size):
        theirs = "x".join(map(str, spec.input_size or ()))
        ours = "x".join(map(str, size)) if size is not None else "different sizes"
        message = f"the augmentation spec is for images of {theirs} (image.size), the data have"
        raise DataError(f"{message} {ours}" + (f": {described}" if described else ""))
    if spec.image.channels != CHANNELS:
        message = f"the augmentation spec is for images of {spec.image.channels} channel"
        raise DataError(f"{message} (image.channels), and all data are read as RGB")


def require_equal_shares(batch_size: int, processes: int) -> None:
    """Checks that all processes get equally many images of a batch.

    Raises:
        DataError: they do not.
    """
    if batch_size % processes:
        message = f"training.batch_size is {batch_size}, which {processes} processes cannot share"
        raise DataError(f"{message} equally: choose a multiple of {processes}")

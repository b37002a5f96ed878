"""The instructions of the fused kernels: what one sample's chain of colour and filter steps is.

A chain is, for each sample, a list of (opcode, arguments). A step that leaves a sample as it is has
the opcode 0 there, and so costs nothing; an order drawn for each sample is an order of opcodes.
"""

from __future__ import annotations

from enum import IntEnum

ARGUMENTS = 2
"""How many numbers an instruction has."""


class Opcode(IntEnum):
    """What an instruction does, to pixels in [0, 1]; its arguments in brackets."""

    NOTHING = 0
    BRIGHTNESS = 1  # (factor)
    CONTRAST = 2  # (factor); needs the mean luma of the image
    SATURATION = 3  # (factor)
    HUE = 4  # (turns)
    GRAYSCALE = 5
    SOLARIZE = 6  # (threshold)
    INVERT = 7
    GAIN = 8  # (red, blue)
    GAUSSIAN_BLUR = 9  # (sigma in pixels, kernel); looks at the pixels around


class Filter(IntEnum):
    """How a resample finds pixels in between."""

    COPY = 0  # whole pixels only
    NEAREST = 1
    BILINEAR = 2
    BICUBIC = 3

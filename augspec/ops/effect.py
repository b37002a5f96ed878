"""What sort of change an op makes: from it follows with which others it commutes (`commute.py`).

"Every image" means every array of finite numbers: after a bicubic crop values lie outside [0, 1],
too, so a clamp is seen. What is equal in exact arithmetic counts as equal, whatever rounding does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Places: TypeAlias = Literal["rearranges", "covers", "picks", "averages", "ranks"]
"""What an op makes of a pixel out of pixels of other places, all channels alike, each by itself.

- `rearranges`: every pixel to a place of its own, none lost: flips and quarter turns.
- `covers`: a constant, or the pixel stays.
- `picks`: one pixel of the image, or a constant.
- `averages`: a weighted mean of pixels and constants. Where constants are among them, the weights
  need not sum to one: the rest is black.
- `ranks`: the median of an odd number of values of the channel.
"""

Tones: TypeAlias = Literal["affine", "pixel", "image"]
"""What an op makes of a pixel without regard to places.

- `affine`: an affine function of the pixel's own channels, nowhere clamped.
- `pixel`: any function of the pixel's own channels.
- `image`: a function of its channels and of all the pixels, as a bag: of a mean or a histogram.
"""


@dataclass(frozen=True)
class Effect:
    """What sort of change an op makes; by default one of which nothing is known.

    Attributes:
        places: see `Places`; None if the op does something else.
        tones: see `Tones`; None if the op does something else. An op has at most one of the two.
        paints: the constants that it sets pixels, or parts of them, to.
        even: a flip or a quarter turn before it does what it does after it, whatever the op draws.
        channelwise: every channel is treated by itself, and all alike.
        monotone: every channel is treated by itself, by a function of the pixel's value that never
            turns back.
        negative: it makes the negative of what it makes of an image out of the image's negative.
    """

    places: Places | None = None
    tones: Tones | None = None
    paints: tuple[float, ...] = ()
    even: bool = False
    channelwise: bool = False
    monotone: bool = False
    negative: bool = False

    @property
    def affine(self) -> bool:
        """Whether what it makes of a weighted mean of images is the mean of what it makes of each.

        For weights that sum to one.
        """
        return self.tones == "affine" or self.places not in (None, "ranks")


@dataclass(frozen=True)
class Keeps:
    """An op commutes with another where the other leaves these constants as they are.

    Attributes:
        values: intensities of all channels.
    """

    values: tuple[float, ...]

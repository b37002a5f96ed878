"""Colour kernels with torchvision v2's pixels, one set of parameters per sample.

Images are `(B, C, H, W)` in [0, 1] with C of 1 or 3, parameters `(B,)`. Factors and shifts are
differentiable, and so are the images.
"""

import torch
from torch import Tensor

from augspec.kernels.rows import on_rows, per_sample

_LUMA = (0.2989, 0.587, 0.114)  # torchvision's weights: ITU-R BT.601, rounded as in PIL
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)
STEPS = ("brightness", "contrast", "saturation", "hue")


def luma(x: Tensor) -> Tensor:
    """Return the luma `(B, 1, H, W)` of RGB images; one-channel images are their own luma."""
    if x.shape[1] == 1:
        return x
    r, g, b = x.split(1, dim=1)
    return r.mul(_LUMA[0]).add(g, alpha=_LUMA[1]).add(b, alpha=_LUMA[2])


def grayscale(x: Tensor) -> Tensor:
    """Replace every channel by the luma; one-channel images are returned as they are."""
    return luma(x).expand_as(x)


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Scale by `factor` `(B,)` >= 0 and clamp to [0, 1]; a factor of 1 changes nothing."""
    return _blend(x, None, factor)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with each image's mean luma by `factor` `(B,)` >= 0 and clamp to [0, 1]."""
    return _blend(x, _mean(luma(x)) * per_sample(1.0 - factor, x), factor)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with the luma by `factor` `(B,)` >= 0 and clamp to [0, 1]; one channel: unchanged."""
    if x.shape[1] == 1:
        return x
    return _blend(x, luma(x) * per_sample(1.0 - factor, x), factor)


def _mean(values: Tensor) -> Tensor:
    return values.mean(dim=(1, 2, 3), keepdim=True)


def _blend(x: Tensor, rest: Tensor | None, factor: Tensor) -> Tensor:
    """Return `clamp(x * factor + rest)`, where `rest` is the reference image times 1 - factor.

    A neutral factor leaves even pixels outside [0, 1] as they are: torchvision would have skipped
    the step. Only the clamp is left out, so that the factor keeps its gradient.
    """
    scale = per_sample(factor, x)
    blended = x * scale if rest is None else torch.addcmul(rest, x, scale)
    return _select(per_sample(factor == 1.0, x), blended, blended.clamp(0.0, 1.0))


def _select(mask: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    """Return `chosen` where `mask` (0.0 or 1.0) is one; exact for finite images.

    `torch.where` is not vectorised on CPUs: on textured masks it takes 8 times as long.
    """
    return torch.lerp(other, chosen, mask)


def hue(x: Tensor, shift: Tensor) -> Tensor:
    """Rotate the hue by `shift` turns, in closed form.

    With V the largest channel, chroma the range of the channels and h the hue, the HSV round trip
    is `V - chroma * clamp(min(k, 4 - k), 0, 1)` with `k = (n + 6 (h + shift)) mod 6` and
    n = 5, 3, 1 for red, green, blue. A shift of 0 is the identity up to rounding (1e-6).

    Args:
        x: `(B, 3, H, W)`; `(B, 1, H, W)` is returned as it is.
        shift: `(B,)`, any real number, of period 1 (torchvision's `hue_factor`).

    Returns:
        `(B, C, H, W)`. As in torchvision, every channel but the largest is clamped to [0, 1].
    """
    if x.shape[1] == 1:
        return x
    value, least = x.amax(dim=1, keepdim=True), x.amin(dim=1, keepdim=True)
    chroma = value - least
    turn = _sextant(x, value, chroma) + per_sample(6.0 * torch.frac(shift), x)
    # n - 2 for red, green, blue: min(k, 4 - k) is 2 - |k - 2|.
    offset = torch.cat((turn + 3.0, turn + 1.0, turn - 1.0), dim=1)
    distance = (offset - 6.0 * torch.round(offset / 6.0)).abs()
    weight = (2.0 - distance).clamp(0.0, 1.0)
    rotated = (value - chroma * weight).clamp(0.0, 1.0)
    return _select((weight > 0.0).to(x.dtype), rotated, value.expand_as(x))


def _sextant(x: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """Return the hue of RGB images in sixths of a turn, `(B, 1, H, W)` in [-1, 5]; gray is 0."""
    r, g, b = x.split(1, dim=1)
    # Below 1e-20 the hue has no effect on the pixel, and its derivative would overflow.
    slope = 1.0 / chroma.clamp_min(1e-20)
    green, blue = (b - r) * slope + 2.0, (r - g) * slope + 4.0
    not_red = _select((value == g).to(x.dtype), green, blue)
    return _select((value == r).to(x.dtype), (g - b) * slope, not_red)


def solarize(x: Tensor, threshold: Tensor) -> Tensor:
    """Invert the pixels at or above `threshold` `(B,)`; the threshold has no gradient."""
    return _select((x >= per_sample(threshold, x)).to(x.dtype), 1.0 - x, x)


def jitter(
    x: Tensor,
    brightness: Tensor,
    contrast: Tensor,
    saturation: Tensor,
    hue_shift: Tensor,
    order: Tensor,
) -> Tensor:
    """Apply brightness, contrast, saturation and hue to each sample in that sample's own order.

    Three of the steps blend the image with a reference (nothing, the mean luma, the luma): a stage
    runs them for all samples at once, whichever each needs. A neutral factor (1, or a whole number
    of turns) leaves its sample's pixels bit-equal at that step.

    Args:
        x: `(B, C, H, W)` in [0, 1].
        brightness: `(B,)` factors >= 0.
        contrast: `(B,)` factors >= 0.
        saturation: `(B,)` factors >= 0.
        hue_shift: `(B,)` turns.
        order: `(B, 4)` int64, a permutation per sample: `order[b, k]` is the step that comes k-th,
            with 0..3 for brightness, contrast, saturation and hue.

    Returns:
        `(B, C, H, W)`.
    """
    one = torch.ones_like(brightness)
    coloured = x.shape[1] > 1
    factors = torch.stack((brightness, contrast, saturation if coloured else one, one), dim=1)
    shifting = (torch.frac(hue_shift) != 0.0) & coloured
    for step in order.unbind(1):
        x = _blend_stage(x, factors.gather(1, step.unsqueeze(1)).squeeze(1), step)
        x = on_rows((step == _HUE) & shifting, hue, x, hue_shift)
    return x


def _blend_stage(x: Tensor, factor: Tensor, step: Tensor) -> Tensor:
    """Run the blend that each sample's `step` `(B,)` asks for, with its `factor` `(B,)`."""
    gray = luma(x)
    by_mean = per_sample((1.0 - factor) * (step == _CONTRAST), x)
    by_luma = per_sample((1.0 - factor) * (step == _SATURATION), x)
    return _blend(x, gray * by_luma + _mean(gray) * by_mean, factor)

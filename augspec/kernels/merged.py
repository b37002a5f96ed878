"""Several projective maps in a row as one resample, with an antialiasing prefilter.

Ops that follow one another resample once each, and each resampling blurs. Here every pixel of the
last image looks up its place in the first one, through all maps at once. Two things that the images
in between would have done are put back:

- *The fill.* A map that looks beyond the image that reaches it shows a fill there. So each pixel is
  followed back through every image in between, and where one of them did not hold it, the fill of
  the op that looked there is blended in. Edges are a pixel wide: one of that image, or one of the
  last image where that is more.
- *The averaging.* Where pixels of the last image are larger than those of the first, the first is
  averaged beforehand, along its rows and columns, over boxes as wide as the mean footprint of such
  a pixel on either axis: one width for a sample. Boxes are never smaller than a pixel: an image
  that is not shrunk is left as it is. A box and the interpolation after it come close to the mean
  over the footprint.

Nothing makes a GPU's host wait, and all of it is differentiable in the images and in the maps
(except with `nearest`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from augspec.kernels.resample import Interpolation
from augspec.kernels.rows import on_rows
from augspec.kernels.warp import adjugate, warp

FINEST = 2
"""A prefiltered image has at most so many pixels along each axis for one of the result."""

_PROBES = 8  # at how many places, along each axis of the result, footprints are taken
_MARGIN = 2  # pixels around what the result shows: as far as bicubic interpolation reaches
_LARGEST = 1e3  # pixels: a footprint at the horizon is infinite, and its gradient must not be
_SHRUNK = 1 + 1e-6  # a turn has footprints of 1, up to rounding


@dataclass(frozen=True)
class Frame:
    """The images that reach one of the maps.

    Attributes:
        size: their height and width in pixels.
        fill: the intensity that the map shows where it looks beyond them; None where it never does.
        projective: whether the map may be other than affine; False saves a division a pixel.
    """

    size: tuple[int, int]
    fill: float | None = None
    projective: bool = True


def resample_once(
    x: Tensor,
    maps: Sequence[Tensor],
    frames: Sequence[Frame],
    size: tuple[int, int],
    *,
    interpolation: Interpolation = "bilinear",
    antialias: bool = True,
) -> Tensor:
    """Move the pixels of each sample by its own maps, one after the other, in one resampling.

    Args:
        x: `(B, C, H, W)`.
        maps: at least one, `(B, 3, 3)` float64 each, from points of an image to points of the next,
            up to a factor, in normalised coordinates (see `augspec.kernels.group`).
        frames: the images that reach each map; the first is `x`.
        size: height and width of the result.
        interpolation: how pixels in between are found. `nearest` picks one, and knows no edges that
            are a pixel wide, no prefilter, and no gradient of the maps.
        antialias: average beforehand where the maps shrink; False saves the work where it is known
            that they never do.

    Returns:
        `(B, C, *size)`. Where all images have one size, samples whose maps are all the identity
        stay as they are, bit by bit.
    """
    stacked = torch.stack(list(maps), dim=1).double()

    def run(rows: Tensor, chain: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            wide = rows.to(torch.promote_types(x.dtype, torch.float32))
            found = _resample(wide, chain.unbind(1), frames, size, interpolation, antialias)
            return found.to(x.dtype)

    if {frame.size for frame in frames} != {size}:
        return run(x, stacked)
    still = torch.eye(3, dtype=torch.float64, device=x.device)
    return on_rows((stacked != still).flatten(1).any(dim=1), run, x, stacked)


def _resample(
    x: Tensor,
    maps: Sequence[Tensor],
    frames: Sequence[Frame],
    size: tuple[int, int],
    interpolation: Interpolation,
    antialias: bool,
) -> Tensor:
    """See `resample_once`; `x` is float32 or float64."""
    looks = _looks(maps, frames)
    first = looks[0].inverse
    picks = interpolation == "nearest"
    if picks:
        view = warp(x, adjugate(first), interpolation="nearest", fill=0.0, size=size)
    else:
        if antialias:
            x, first = _prefiltered(x, first, size)
        grid = torch.stack(_places(first, size, x.dtype, looks[0].affine), dim=-1)
        # past the outermost centres those pixels go on; what is beyond the edge, the frames say
        view = grid_sample(x, grid, interpolation, "border", align_corners=False)
    beyond = [look for look in looks if look.frame.fill is not None]
    if not beyond:
        return view
    kept, added = _blend(beyond, size, view.dtype, picks)
    return torch.addcmul(added.unsqueeze(1), view, kept.unsqueeze(1))


@dataclass(frozen=True)
class _Look:
    """How the result looks back at the images that reach a map.

    Attributes:
        frame: these images.
        matrix: `(B, 3, 3)`, the map.
        inverse: `(B, 3, 3)`, from points of the result to points of these images, up to a factor.
        affine: whether the last row of the inverse is (0, 0, 1).
    """

    frame: Frame
    matrix: Tensor
    inverse: Tensor
    affine: bool


def _looks(maps: Sequence[Tensor], frames: Sequence[Frame]) -> list[_Look]:
    """How the result looks back at the images that reach each map, the first ones first."""
    found: list[_Look] = []
    for matrix, frame in zip(reversed(maps), reversed(frames), strict=True):
        inverse = adjugate(matrix)
        inverse = inverse @ found[-1].inverse if found else inverse
        affine = not frame.projective and all(look.affine for look in found)
        # the factor is free, and would grow with every map
        factor = inverse[:, 2:, 2:] if affine else inverse.abs().amax((1, 2), keepdim=True)
        found.append(_Look(frame, matrix, inverse / factor, affine))
    return found[::-1]


def _blend(
    looks: Sequence[_Look], size: tuple[int, int], dtype: torch.dtype, picks: bool
) -> tuple[Tensor, Tensor]:
    """How much of each pixel is the image, and what the fills add to it, `(B, *size)` each.

    Args:
        looks: at the images beyond which a map looks.
        size: height and width of the result.
        dtype: of what is found.
        picks: whether a pixel is wholly the one or the other.
    """
    fills = [look.frame.fill or 0.0 for look in looks]
    alike = len(set(fills)) == 1
    kept, added = None, torch.zeros((1, 1, 1), dtype=dtype, device=looks[0].inverse.device)
    for look, fill in zip(looks, fills, strict=True):
        # what is picked at an edge must not hang on the last bits
        held = _held(look, size, torch.float64 if picks else dtype)
        held = (held >= 0.5).to(dtype) if picks else held
        kept = held if kept is None else kept * held
        if not alike:
            added = added * held + fill * (1 - held)
    assert kept is not None
    # where all fills are one, all of what is not kept is of it
    return kept, fills[0] * (1 - kept) if alike and fills[0] else added


def _places(
    inverse: Tensor, size: tuple[int, int], dtype: torch.dtype, affine: bool
) -> tuple[Tensor, Tensor]:
    """Where each pixel comes from: x and y, `(B, *size)` of this dtype, normalised.

    Args:
        inverse: `(B, 3, 3)` float64, from points of the result, up to a factor.
        size: height and width of the result, in pixels.
        dtype: of the places; with float32 they are a few 1e-5 of a pixel off.
        affine: whether the last row of the inverse is (0, 0, 1).
    """
    y, x = (_centres(count, inverse).to(dtype) for count in size)
    if affine:
        u, v = _coordinates(inverse[:, :2].to(dtype), x, y)
        return u, v
    u, v, w = _homogeneous(inverse.to(dtype), x, y)
    return u / w, v / w


def _homogeneous(inverse: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three coordinates `(B, h, w)` of the points (x, y), `(w,)` and `(h,)`, after a map."""
    u, v, w = _coordinates(inverse, x, y)
    # a point on the horizon comes from far away, and not from infinity
    return u, v, torch.where(w.abs() < 1e-12, 1e-12, w)


def _coordinates(rows: Tensor, x: Tensor, y: Tensor) -> list[Tensor]:
    """The coordinates `(B, h, w)` that rows `(B, n, 3)` of a matrix make of points (x, y, 1)."""
    # sums of terms, since a matrix product may run in low precision
    parts = rows.permute(1, 2, 0)[..., None, None].unbind(0)
    return [part[0] * x + (part[1] * y[:, None] + part[2]) for part in parts]


def _centres(count: int, like: Tensor) -> Tensor:
    """The centres of `count` pixels in normalised coordinates."""
    return (2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1) / count - 1


def _held(look: _Look, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """How much of each pixel the images that a map looks at hold, in [0, 1], `(B, *size)`.

    All of it where the map keeps their outline (a flip, or nothing at all): it looks at nothing
    beyond them.
    """
    height, width = footprint(look.inverse, look.frame.size, size)
    u, v = _places(look.inverse, size, dtype, look.affine)
    held = []
    for place, side, pixel in zip((v, u), look.frame.size, (height, width), strict=True):
        # one where a pixel lies inside, a half on the edge, and a slope between the two of a pixel
        slope = (side / 2 / pixel.clamp_min(1.0)).to(dtype)[:, None, None]
        held.append(torch.addcmul(slope + 0.5, slope, place.abs(), value=-1).clamp(0, 1))
    return torch.where(_keeps_outline(look.matrix)[:, None, None], 1.0, held[0] * held[1])


def _keeps_outline(matrix: Tensor) -> Tensor:
    """Which maps take the image's outline to itself: flips, turns of a square, the identity."""
    upright = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    lying = torch.cat([upright[1:2], upright[:1], upright[2:]])
    sizes = matrix.abs()
    return (sizes == upright).flatten(1).all(dim=1) | (sizes == lying).flatten(1).all(dim=1)


def footprint(
    inverse: Tensor, source: tuple[int, int], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """How tall and wide a pixel of the result is on the source, `(B,)` float64 each, in pixels.

    The root mean square over a few places that show the source, or over all where none does.

    Args:
        inverse: `(B, 3, 3)` float64, from points of the result to points of the source.
        source: height and width of the source.
        size: height and width of the result.
    """
    probes = _centres(_PROBES, inverse)
    u, v, w = _homogeneous(inverse, probes, probes)
    x, y = u / w, v / w
    m = inverse.permute(1, 2, 0)[..., None, None]
    seen = (x.abs() < 1) & (y.abs() < 1)
    seen = (seen | ~seen.any(dim=2, keepdim=True).any(dim=1, keepdim=True)).to(inverse.dtype)
    found = []
    for place, row, side in ((y, m[1], source[0]), (x, m[0], source[1])):
        across = (row[0] - place * m[2, 0]) / w * (side / size[1])
        down = (row[1] - place * m[2, 1]) / w * (side / size[0])
        square = (across.square() + down.square()).clamp_max(_LARGEST**2)
        found.append(((square * seen).sum(dim=(1, 2)) / seen.sum(dim=(1, 2))).sqrt())
    return found[0], found[1]


def _prefiltered(x: Tensor, inverse: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Average the images over the footprints of the result's pixels, where these are large.

    An image of many more pixels than the result is not averaged as a whole, but in the box that the
    result shows, and coarser: a box that is small enough is a window of whole pixels.

    Args:
        x: `(B, C, H, W)`.
        inverse: `(B, 3, 3)`, from points of the result to points of these images.
        size: height and width of the result.

    Returns:
        The averaged images, or boxes of them, `(B, C, h, w)`, and the inverse to points of these.
    """
    source = (x.shape[-2], x.shape[-1])
    tall, wide = footprint(inverse, source, size)
    counts = [min(side, FINEST * target) for side, target in zip(source, size, strict=True)]
    if counts == list(source):
        shrunk = torch.maximum(tall, wide) > _SHRUNK
        return on_rows(shrunk, _averaged_in_place, x, tall, wide), inverse
    parts = zip(_shown(inverse), (tall, wide), source, counts, strict=True)
    rows, columns = (_cells(*ends, width, side, count) for ends, width, side, count in parts)
    u, v, w = inverse.unbind(1)
    moved = [columns.moved(u, w), rows.moved(v, w), w]
    return _averaged(x, rows, columns), torch.stack(moved, dim=1)


@dataclass(frozen=True)
class _Cells:
    """Equal cells along an axis of an image, each with a box of pixels around its centre.

    Attributes:
        width: `(B,)`, of the boxes, in pixels.
        start: `(B,)`, the edge of the first cell, in pixels.
        pitch: `(B,)`, of the cells, in pixels, at least 1.
        side: of the image, in pixels.
        count: of cells.
    """

    width: Tensor
    start: Tensor
    pitch: Tensor
    side: int
    count: int

    def weights(self, dtype: torch.dtype) -> Tensor:
        """The weights `(B, count, side)` of pixels in boxes; rows sum to 1.

        Each pixel counts by the part of it in the box, and a box is cut off at the image's edges.
        Interpolation between coarse cells averages more than between pixels, and boxes as much less
        (variances add up), but they are no smaller than a cell.
        """
        pitch = self.pitch.to(dtype)[:, None, None]
        square = self.width.to(dtype)[:, None, None].square() - 2 * (pitch.square() - 1)
        half = torch.maximum(square, pitch.square()).sqrt() / 2
        cell = torch.arange(self.count, dtype=dtype, device=pitch.device)[:, None] + 0.5
        centre = self.start.to(dtype)[:, None, None] + pitch * cell
        pixel = torch.arange(self.side, dtype=dtype, device=pitch.device)
        low = torch.maximum(centre - half, pixel)
        weight = (torch.minimum(centre + half, pixel + 1) - low).clamp_min(0)
        return weight / weight.sum(dim=2, keepdim=True)

    def moved(self, place: Tensor, third: Tensor) -> Tensor:
        """A row `(B, 3)` of a map to the image as one of the map to all cells; `third` is row 2."""
        half = self.pitch * self.count / 2
        scale, shift = self.side / 2 / half, (self.side / 2 - self.start) / half - 1
        return scale[:, None] * place + shift[:, None] * third


def _cells(low: Tensor, high: Tensor, width: Tensor, side: int, count: int) -> _Cells:
    """The finest cells that hold all from `low` to `high`, parts of the side, `(B,)` each."""
    reach = _MARGIN + width / 2
    low, high = (low * side - reach).clamp_min(0), (high * side + reach).clamp_max(side)
    pitch = ((high - low) / count).clamp_min(1.0)
    # cells of a pixel are pixels: cutting them out must not blur
    start = torch.where(pitch > 1, low, low.floor().clamp(0, side - count))
    return _Cells(width, start, pitch, side, count)


def _shown(inverse: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The box that a map shows: its ends in [0, 1], `(B,)` each, along y and along x.

    All of it where the result has a point on the horizon: it may show anything.
    """
    edges = 2 * _centres(2, inverse)  # the centres of two pixels are halfway to the edges
    u, v, w = (value.flatten(1) for value in _homogeneous(inverse, edges, edges))
    horizon = w.amin(dim=1) * w.amax(dim=1) <= 0
    found = []
    for place in (v / w, u / w):
        inside = (place.clamp(-1, 1) + 1) / 2
        low = torch.where(horizon, 0.0, inside.amin(dim=1))
        found.append((low, torch.where(horizon, 1.0, inside.amax(dim=1))))
    return found


def _averaged_in_place(x: Tensor, tall: Tensor, wide: Tensor) -> Tensor:
    """Average over boxes `tall` by `wide` pixels, `(B,)` each, around each pixel."""
    one = torch.ones_like(tall)
    rows, columns = (
        _Cells(width, one - 1, one, side, side)
        for width, side in zip((tall, wide), x.shape[-2:], strict=True)
    )
    return _averaged(x, rows, columns)


def _averaged(x: Tensor, rows: _Cells, columns: _Cells) -> Tensor:
    """Average over boxes around the centres of cells: `(B, C, rows.count, columns.count)`."""
    batch, channels, height, width = x.shape
    narrow = torch.bmm(x.reshape(batch, channels * height, width), columns.weights(x.dtype).mT)
    narrow = narrow.reshape(batch, channels, height, columns.count)
    return torch.matmul(rows.weights(x.dtype).unsqueeze(1), narrow)

"""Relative codes: what takes one view of an image to another.

**The group part is exact.** The geometry of a view is one projective map (`view_matrix`): ops that
are not geometric stand between its geometric runs, but they leave every pixel in its place, and so
the runs' maps multiply as if nothing stood between. What takes view a to view b is the map `b a^-1`
and its code that of `augspec.kernels.polar`: a bit for the mirror, the turn, the stretch, the shift
and, where a view is seen from an angle, the horizon. It exists for every pair, is zero for a pair
of equal geometry, and gives the map back (`element`). Composition and inverse are those of the
group: `relative(a, c) == compose(relative(b, c), relative(a, b))`, and `inverse(relative(a, b)) ==
relative(b, a)`.

Why not the logarithm of the group, which would make twice the code of a map that of the map done
twice? Because many pairs have none: an upside-down view of another aspect ratio lies on no
one-parameter group. It is there beside the code (`RelativeCode.log`), with a mask of where it
exists.

**The rest is a difference,** and the layout says so. For an op that is not geometric, a slot is the
code of view b less that of view a; where only one of the views has such an op, the other counts as
the identity, whose code is zero (the slot then says `only`). A difference is no element of a group:
there need not be any operation that takes the one to the other. Brightness clamps, contrast is
about the mean of what a view shows, hue turns colours that saturation has moved before, a jitter
has an order, grayscale and blur destroy, and noise is drawn anew. What differences have is
arithmetic: they add up along a chain of views and change sign with the direction, and `compose` and
`inverse` do just that with them. Ops that bend the image (`elastic`, `thin_plate_spline`, `mix` of
displaced images) are differences too. The layout names them, and where one of them acts, `exact` is
false: the group part leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from augspec.codes.relative_layout import Meaning, RelativeLayout, relative_layout
from augspec.compiler.geometry import straight, view_matrix
from augspec.compiler.pipeline import Pipeline
from augspec.kernels import group
from augspec.kernels.lie import affine_log
from augspec.kernels.polar import AFFINE, polar_code, polar_element
from augspec.ops.contract import Size


@dataclass(frozen=True)
class RelativeCode:
    """What takes the samples of one view to those of another.

    Attributes:
        code: `(B, R)`, laid out as `layout`.
        layout: what the columns are.
        matrix: `(B, 3, 3)` float64, the group element from points of the first view to points of
            the second, in normalised coordinates.
        straight: `(B, 2)` bool, whether no op bends the first view, and the second.
    """

    code: Tensor
    layout: RelativeLayout
    matrix: Tensor
    straight: Tensor

    @property
    def exact(self) -> Tensor:
        """Where the element is all that the geometry does: `(B,)` bool."""
        return self.straight.all(dim=1)

    def log(self) -> tuple[Tensor, Tensor]:
        """The logarithm of the group element, `(B, 7)`, and where it exists, `(B,)` bool.

        See `augspec.kernels.lie`: elsewhere, and for maps that are not affine, it is NaN.
        """
        return affine_log(self.matrix)


def relative(
    pipeline: Pipeline,
    params_a: Mapping[str, Tensor],
    params_b: Mapping[str, Tensor],
    size: Size,
    *,
    views: tuple[str, str],
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
) -> RelativeCode:
    """The relative codes from view a to view b of one batch; differentiable in both parameters.

    Args:
        pipeline: the pipeline whose views these are.
        params_a: the parameters of view a by `op.parameter`, `(B,)` each.
        params_b: the parameters of view b.
        size: height and width of the images that come in.
        views: the names of views a and b; both may be the same.
        batch: B, where neither view has parameters.
        dtype: of the code.

    Raises:
        KeyError: an unknown view, or a parameter is missing.
    """
    layout = relative_layout(pipeline, views)
    # a view without parameters has as many samples, on the same device, as the other
    pairs = list(zip(views, (params_a or params_b, params_b or params_a), strict=True))
    maps = [view_matrix(pipeline, own, size, view=name, batch=batch) for name, own in pairs]
    ends = [straight(pipeline, own, view=name, batch=batch) for name, own in pairs]
    codes = [_code(pipeline, name, own, maps[0]) for name, own in pairs]
    before, after = layout.first.own, layout.second.own
    parts, zero = [codes[0][:, :0]], maps[0].new_zeros(())
    for slot in layout.differences:
        a = codes[0][:, before[slot.meaning].slice] if slot.meaning in before else zero
        b = codes[1][:, after[slot.meaning].slice] if slot.meaning in after else zero
        parts.append(b - a)
    matrix = group.relative(maps[0], maps[1])
    return _assembled(layout, matrix, torch.cat(parts, dim=1), torch.stack(ends, dim=1), dtype)


def compose(second: RelativeCode, first: RelativeCode) -> RelativeCode:
    """The code from where `first` starts to where `second` leads.

    The group elements are composed, the differences added. An op that only the view between has
    cancels, and has no columns.

    Raises:
        ValueError: `second` does not start at the view at which `first` ends.
    """
    if first.layout.second != second.layout.first:
        raise ValueError(
            f"the first code ends at view {first.layout.views[1]!r}, and the second starts at "
            f"{second.layout.views[0]!r}: they must be the same view of one plan"
        )
    layout = RelativeLayout(first.layout.first, second.layout.second)
    columns = [_differences(code) for code in (first, second)]
    parts = [first.code.double()[:, :0]]
    for slot in layout.differences:
        steps = [own[slot.meaning] for own in columns if slot.meaning in own]
        parts.append(steps[0] + steps[1] if len(steps) == 2 else steps[0])
    matrix = group.compose(second.matrix, first.matrix)
    straight = torch.stack([first.straight[:, 0], second.straight[:, 1]], dim=1)
    dtype = torch.promote_types(first.code.dtype, second.code.dtype)
    return _assembled(layout, matrix, torch.cat(parts, dim=1), straight, dtype)


def inverse(code: RelativeCode) -> RelativeCode:
    """The code of the way back: the group element's inverse, and the differences' opposites."""
    layout = RelativeLayout(code.layout.second, code.layout.first)
    differences = -code.code.double()[:, code.layout.group.stop :]
    matrix = group.inverse(code.matrix)
    return _assembled(layout, matrix, differences, code.straight.flip(1), code.code.dtype)


def element(code: Tensor, layout: RelativeLayout) -> Tensor:
    """The group elements `(B, 3, 3)` float64 that codes `(B, R)` stand for; differentiable.

    Raises:
        ValueError: the codes are not as wide as the layout.
    """
    if code.ndim != 2 or code.shape[1] != layout.width:
        raise ValueError(
            f"codes from {layout.views[0]!r} to {layout.views[1]!r} must be (B, {layout.width}), "
            f"got {tuple(code.shape)}"
        )
    own = code[:, layout.group]
    return polar_element(own if own.shape[1] else own.new_zeros(len(own), AFFINE))


def read(code: Tensor, layout: RelativeLayout) -> RelativeCode:
    """Codes `(B, R)` with what they stand for, to compose them or to undo them.

    Whether ops that bend an image acted, a code alone does not say: where a view has any, no sample
    counts as straight.

    Raises:
        ValueError: the codes are not as wide as the layout.
    """
    matrix = element(code, layout)
    ends = [
        torch.full((len(code),), not end.bends, device=code.device)
        for end in (layout.first, layout.second)
    ]
    return RelativeCode(code, layout, matrix, torch.stack(ends, dim=1))


def _code(pipeline: Pipeline, view: str, params: Mapping[str, Tensor], like: Tensor) -> Tensor:
    """A view's own code `(B, E)`, float64."""
    if not pipeline.layouts[view].width:
        return like.new_zeros(len(like), 0)
    return pipeline.encode({view: params}, dtype=torch.float64)[view]


def _differences(code: RelativeCode) -> dict[Meaning, Tensor]:
    """The columns of each difference, float64."""
    columns = code.code.double()
    return {slot.meaning: columns[:, slot.slice] for slot in code.layout.differences}


def _assembled(
    layout: RelativeLayout,
    matrix: Tensor,
    differences: Tensor,
    straight: Tensor,
    dtype: torch.dtype,
) -> RelativeCode:
    own = polar_code(matrix)[:, layout.group]
    code = torch.cat([own, differences.to(own)], dim=1).to(dtype)
    return RelativeCode(code, layout, matrix, straight)

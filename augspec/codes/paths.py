"""Paths: from the identity to a code, by a part s of the way.

Each parameter goes its own way, which its codec or its op names (`Op.motions`):

- `moves`: by a part s of its displacement: a factor of 1.4 is 1.2 half way, a box of a quarter of
  the side (`log`) half the side, and an angle is scaled the shorter way round.
- `jumps`: bits and categories have nothing in between, and neither has what only means something
  beside a bit, such as the quality of a JPEG file: all of it comes just after one half.
- `holds`: what only says how, not how much (an order, where a box is erased, which share of the
  noise is white) is there from the start, as long as its op does anything.
- `follows`: moves, but a part of the code that jumps decides where it stands, or whether it is seen
  (the weight of a rendering that jumps; the times of a `repeat`, of which the idle ones come last).

Every code on a path is one that could be drawn, up to the pixel grid. A box that is cut out stays
in the image: where one of relative height h has its centre at 1/2 + d, and so |d| + h/2 <= 1/2, the
one at s reaches to |s d| + h**s / 2 <= s (1 - h) / 2 + h**s / 2, and that is at most 1/2, since a
convex function such as h**s lies below its chord: h**s <= 1 - s (1 - h). The weights of a `mix`
keep a sum of at most 1. What has no columns, as the seed of a random field, is not part of a path:
give `decode` the seeds of the batch, and the noise is the same, only weaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from augspec.encoding.codecs import jumped

if TYPE_CHECKING:
    from torch import Tensor

    from augspec.compiler.pipeline import Pipeline
    from augspec.compiler.plan import Step, ViewPlan


def interpolate(
    pipeline: Pipeline, codes: Mapping[str, Tensor], s: float | Tensor
) -> dict[str, Tensor]:
    """The codes a part of the way from the identity.

    Differentiable in the codes and in `s`, for the parameters that move (see `jumps`).

    Args:
        pipeline: whose codes these are.
        codes: canonical codes `(B, E)` by view, as a pipeline draws them.
        s: the part, or one for each sample `(B,)`, in [0, 1]. At 0 the codes are zero, and at 1
            they are `codes`, bit for bit in float32.

    Returns:
        Canonical codes `(B, E)` by view, in the dtype of `codes`.

    Raises:
        KeyError: an unknown view.
        ValueError: a code is not as wide as its view's layout, or not valid (CodeError); or `s` is
            outside [0, 1] or not as long as the codes.
    """
    found = {}
    for name, code in codes.items():
        view = pipeline.plan.view(name)
        pipeline.decode({name: code})  # refuses what is no code
        moved = _toward(view, code, _parts(s, code))
        params = pipeline.decode({name: moved}, strict=None)
        found[name] = moved
        if params[name]:  # an order or a weight is no part of the code while its ops do nothing
            found[name] = pipeline.encode(params, dtype=code.dtype)[name]
    return found


def jumps(pipeline: Pipeline) -> dict[str, dict[str, float]]:
    """Which slots do not go to their code continuously, and where on the path they jump.

    Returns:
        By view and slot, in column order: 0.5 for those that jump, or follow one that does, just
        after one half, and with them the view; 0.0 for those that hold their value as soon as their
        op does anything, which the view does not show. All other slots move continuously. The view
        does so too where their `differentiable` is true; otherwise it changes in small steps, as
        with a box on whole pixels.
    """
    places = {"jumps": 0.5, "follows": 0.5, "holds": 0.0}
    found: dict[str, dict[str, float]] = {}
    for view in pipeline.plan.views:
        ways = {step.key(key): way for step in view.steps for key, way in step.op.motions().items()}
        found[view.name] = {
            slot.name: places[ways[slot.name]]
            for slot in view.layout.slots
            if ways[slot.name] != "moves"
        }
    return found


def _toward(view: ViewPlan, code: Tensor, s: Tensor) -> Tensor:
    """The code with each parameter a part of its way, not yet in canonical form."""
    import torch

    parts = [_step_toward(step, code[:, slice(*step.columns)], s) for step in view.steps]
    return torch.cat([code[:, :0], *parts], dim=-1)


def _step_toward(step: Step, code: Tensor, s: Tensor) -> Tensor:
    import torch

    parameters, motions = step.op.parameters(), step.op.motions()
    widths = [parameter.codec.width for parameter in parameters]
    parts = [code[:, :0]]
    for parameter, part in zip(parameters, code.split(widths, dim=-1), strict=True):
        motion = motions[parameter.name]
        if motion == "jumps":
            parts.append(jumped(part, s))
        elif motion == "holds":
            parts.append(part)
        else:
            parts.append(parameter.codec.toward(part, s))
    return torch.cat(parts, dim=-1)


def _parts(s: float | Tensor, code: Tensor) -> Tensor:
    """The part of the way for each sample, `(B,)` float64.

    Raises:
        ValueError: see `interpolate`.
    """
    import torch

    found = torch.as_tensor(s, dtype=torch.float64, device=code.device)
    if found.ndim and found.shape != code.shape[:1]:
        raise ValueError(f"s must be a number or ({len(code)},), got {tuple(found.shape)}")
    outside = found[~((found >= 0) & (found <= 1))]
    if len(outside):
        raise ValueError(f"s must lie in [0, 1], got {float(outside.flatten()[0])}")
    return found.expand(len(code))

"""A batch as it is kept in a file, and read from one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from augspec.compiler.pipeline import Pipeline
from augspec.compiler.plan import make_plan
from augspec.encoding.layout import Layout
from augspec.language.spec import Spec


class ExchangeError(ValueError):
    """A file that holds no batch, or a damaged one; the message names it and what is wrong."""


@dataclass(frozen=True, eq=False)
class SavedBatch:
    """A batch with all that is needed to render it again, anywhere.

    Attributes:
        spec: the spec.
        plan: the hash of the plan that it compiled into.
        seed: the pipeline's seed.
        epoch: the epoch of the draws.
        layouts: by view, what the columns of its codes are.
        ids: `(B,)` int64, what names the samples.
        sizes: `(B, 2)` int64, height and width of each image that came in.
        codes: by view `(B, E)`, float32.
        seeds: the seeds of random fields by view and `op.seed`, `(B,)` float64 each.
        names: what each image is called; the ids as text if nothing else was said.
        positions: `(B,)` int64, the samples' places in the epoch's order; None if they are the ids.
            Only drawing needs them.
        image_digests: of each image, see `reference.digest`; None if no images were given.
        view_digests: by view, of each sample's reference view; empty if no images were given.
        images: `(C, H, W)` uint8 each; None if they were left out.
        views: by view the reference views, `(C, h, w)` float32 each; None if they were left out.
    """

    spec: Spec
    plan: str
    seed: int
    epoch: int
    layouts: Mapping[str, Layout]
    ids: Tensor
    sizes: Tensor
    codes: Mapping[str, Tensor]
    seeds: Mapping[str, Mapping[str, Tensor]]
    names: tuple[str, ...]
    positions: Tensor | None = None
    image_digests: tuple[str, ...] | None = None
    view_digests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: tuple[Tensor, ...] | None = None
    views: Mapping[str, tuple[Tensor, ...]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def pipeline(self) -> Pipeline:
        """The pipeline that the codes belong to.

        Another version of augspec may compile the spec into another plan; where the layouts are the
        same, the codes still mean the same, and the digests show whether the views are.

        Raises:
            LayoutMismatchError: a view has another layout than the codes.
            ExchangeError: the spec has other views.
        """
        plan = make_plan(self.spec)
        names = [view.name for view in plan.views]
        if names != list(self.layouts):
            theirs, mine = ", ".join(self.layouts), ", ".join(names)
            raise ExchangeError(f"the codes are those of views {theirs}; the spec has {mine}")
        for view in plan.views:
            self.layouts[view.name].require(view.layout, f"view {view.name!r} of the spec")
        return Pipeline(plan, seed=self.seed)

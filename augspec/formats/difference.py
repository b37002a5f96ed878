"""The relative parameters of consecutive views, as seq-JEPA takes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from augspec.compiler.plan import ViewPlan
from augspec.formats.contract import Draw, Format, FormatColumn, FormatError, Kind, Term
from augspec.formats.equimod import columns_of
from augspec.formats.evaluate import evaluate
from augspec.formats.parts import minus

if TYPE_CHECKING:
    from torch import Tensor

KEPT = (
    "top",
    "left",
    "height",
    "width",
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "sigma",
)
"""The columns of EquiMod's vector that seq-JEPA keeps, in order."""


@dataclass(frozen=True)
class Difference(Format):
    """From each view of a sequence to the next: the change of nine columns of EquiMod's vector.

    Attributes:
        normalize: whether each column is first divided by its L2 norm over all the views of the
            sequence, as the released code does.
    """

    name: ClassVar[str] = "difference"
    title: ClassVar[str] = (
        "seq-JEPA's actions: each view's parameters minus those of the one before"
    )
    paper: ClassVar[str] = "Ghaemi et al., seq-JEPA, NeurIPS 2025, arXiv 2505.03176"
    code: ClassVar[str] = (
        "hafezgh/seq-jepa 057982b, src/engine.py (train_one_epoch_aug), src/models.py "
        "(SeqJEPA_Transforms); src/augmentations.py (ParamCompose) as in kaikun213/seq-jepa 9364735"
    )
    kind: ClassVar[Kind] = "sequence"

    normalize: bool = True

    def columns(self, group: tuple[ViewPlan, ...]) -> tuple[FormatColumn, ...]:
        """See `Format.columns`."""
        before, after = (_kept(view) for view in group)
        if before.keys() != after.keys():
            raise FormatError(
                f"format difference compares views with the same ops: {group[0].name} has "
                f"{', '.join(before)}, and {group[1].name} has {', '.join(after)}"
            )
        if self.normalize:
            return tuple(FormatColumn(name, "part of its norm", None) for name in before)
        return tuple(
            replace(column, terms=minus(_moved(after[name], 1), column.terms or ()))
            for name, column in before.items()
        )

    def computed(self, draw: Draw) -> dict[str, Tensor]:
        """The change from the first view of the group to the second, of the normalised columns."""
        import torch

        if not self.normalize:
            return {}
        rows = [
            torch.stack([*evaluate([*_kept(v).values()], draw, (v,)).values()], dim=-1)
            for v in draw.views
        ]
        values = torch.stack(rows, dim=1)  # (B, views, columns)
        norm = torch.linalg.vector_norm(values, dim=1, keepdim=True)
        parts = values / torch.where(norm > 0, norm, 1.0)
        names = [view.name for view in draw.views]
        before, after = (parts[:, names.index(view.name)] for view in draw.group)
        return dict(zip(_kept(draw.group[0]), (after - before).unbind(-1), strict=True))


def _kept(view: ViewPlan) -> dict[str, FormatColumn]:
    """The columns of EquiMod's vector that a view has, by name."""
    columns = {column.name: column for column in columns_of(view, Difference.name)}
    return {name: columns[name] for name in KEPT if name in columns}


def _moved(column: FormatColumn, view: int) -> tuple[Term, ...]:
    """A column's terms for another view of the group."""
    return tuple(
        replace(term, factors=tuple(replace(f, view=view) for f in term.factors))
        for term in column.terms or ()
    )

"""Who shares a draw with whom: views with one another, and samples with their neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from augspec.language.document import DocumentModel


class Share(DocumentModel):
    """What an op's draw is shared by."""

    views: bool = False
    """Whether all views that have an op of this id, and share it, use one draw."""

    samples: Annotated[int, Field(ge=1)] = 1
    """How many samples in a row use one draw: those whose position divided by this is equal. The
    position is a sample's place in the epoch's order where the caller gives it, else its id."""


Sharing = Literal["views", "pairs"] | Share
"""`views`: `{views: true}`; `pairs`: `{samples: 2}`."""

ALONE = Share()
_SHORT = {"views": Share(views=True), "pairs": Share(samples=2)}


def resolved(sharing: Sharing | None) -> Share | None:
    """The sharing with its shorthand written out."""
    return _SHORT[sharing] if isinstance(sharing, str) else sharing


@dataclass(frozen=True)
class Stream:
    """Uniforms that an op asks for.

    Attributes:
        path: what to append to the id of the outermost op: empty for that op itself, and
            `.gaussian_blur` for the blur inside a combinator.
        count: how many uniforms.
        share: who shares them.
    """

    path: str
    count: int
    share: Share = ALONE

    def inside(self, child: str, share: Share | None) -> Stream:
        """This stream of a combinator's child, seen from the combinator."""
        own = share if share is not None and self.share == ALONE else self.share
        return replace(self, path=f".{child}{self.path}", share=own)

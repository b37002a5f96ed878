"""The spec: what a person writes, as validated, frozen models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from augspec.language.codes import Code
from augspec.language.document import (
    DocumentModel,
    Fault,
    Faults,
    fault,
    load_model,
    loads_model,
)
from augspec.language.views import Name, Rendering, View, renderings, view_faults
from augspec.ops.contract import Incoming, Size
from augspec.ops.geometry import Side, pair

Deviation = Annotated[float, Field(gt=0)]


class Normalize(DocumentModel):
    """Subtract a mean and divide by a standard deviation, last in every view and not encoded."""

    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    """One mean for each channel, of images in [0, 1]."""

    std: Annotated[tuple[Deviation, ...], Field(min_length=1)]
    """One standard deviation for each channel."""

    @model_validator(mode="after")
    def _as_many(self) -> Normalize:
        if len(self.mean) != len(self.std):
            message = f"needs as many numbers as mean: {len(self.mean)}, got {len(self.std)}"
            raise fault(message, "std")
        return self


class Image(DocumentModel):
    """What is known about the images before any is seen."""

    channels: Literal[1, 3] = 3
    """3 for RGB, 1 for grayscale."""

    size: Side | tuple[Side, Side] | None = None
    """Side of the square images that come in, or height and width; left out where they vary."""


class Spec(DocumentModel):
    """An augmentation spec: named views, each a list of ops."""

    version: Literal[1]
    """Version of the language."""

    name: Name
    """What the recipe is called."""

    description: str = ""
    """What it is for and where its numbers come from."""

    image: Image = Image()
    """What is known about the images before any is seen."""

    normalize: Normalize | None = None
    """Last in every view, not encoded."""

    differentiable: bool = False
    """Whether a gradient must reach the images through every view; an op that lets none through is
    then a mistake."""

    meta: dict[str, Any] = Field(default={})
    """Anything: notes, links, whatever other tools want. It has no meaning here."""

    views: Annotated[dict[Name, View], Field(min_length=1)]
    """The views by name; `original` conventionally has no random op."""

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        faults: list[Fault] = []
        if self.normalize is not None and len(self.normalize.mean) not in (1, self.image.channels):
            channels = self.image.channels
            needed = "1 number" if channels == 1 else f"1 or {channels} numbers"
            message = f"needs {needed}, for image.channels of {self.image.channels}"
            message += f", got {len(self.normalize.mean)}"
            faults.append(Fault(("normalize", "mean"), message, Code.CHANNELS))
        incoming = Incoming(self.input_size, self.image.channels)
        faults += [fault.under("views") for fault in view_faults(self.views, incoming)]
        faults += self._gradient_faults()
        if faults:
            raise Faults(faults).error()
        return self

    def _gradient_faults(self) -> list[Fault]:
        """Ops that let no gradient through, where the spec asks for gradients."""
        return [
            Fault(
                ("views", name, "ops", index, *path, "op"),
                f"{leaf.tag()} lets no gradient through ({leaf.not_differentiable}), "
                "and the spec says `differentiable: true`",
                Code.NOT_DIFFERENTIABLE,
            )
            for name, view in self.views.items()
            for index, op in enumerate(view.ops if self.differentiable else ())
            for path, leaf in op.leaves()
            if leaf.not_differentiable is not None and leaf.gate > 0
        ]

    @property
    def renderings(self) -> dict[str, Rendering]:
        """What the views stand for: counted ones written out, derived ones with their ops."""
        return renderings(self.views)

    @property
    def input_size(self) -> Size | None:
        """Height and width of the images that come in, where the spec says so."""
        return pair(self.image.size) if self.image.size is not None else None

    def document(self) -> dict[str, Any]:
        """The spec as plain data that reads back as an equal spec; defaults are left out."""
        return {"version": self.version, **self.model_dump(mode="json", exclude_defaults=True)}


def load(path: str | Path, overrides: Sequence[str] = (), *, allow_outside: bool = False) -> Spec:
    """Reads a spec from a YAML or JSON file, without importing torch.

    Args:
        path: the file.
        overrides: assignments such as `views.first.ops.gaussian_blur.p=0`.
        allow_outside: whether it may extend files outside its own folder and what is below.

    Raises:
        SpecError: the file cannot be read or has mistakes; the error lists them all, each as
            `file:line:column` with the line and a caret.
    """
    return load_model(Spec, path, overrides, allow_outside=allow_outside)


def loads(
    text: str,
    name: str = "<string>",
    overrides: Sequence[str] = (),
    *,
    allow_outside: bool = False,
) -> Spec:
    """Reads a spec from text; `name` stands for the file in error messages.

    What it extends is looked for from the current folder.

    Raises:
        SpecError: see `load`.
    """
    return loads_model(Spec, text, name, overrides, allow_outside=allow_outside)

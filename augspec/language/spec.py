"""The spec: what a person writes, as validated, frozen models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from augspec.language.document import DocumentModel, Faults, load_model, loads_model
from augspec.ops import AnyOp
from augspec.ops.contract import Op, Size, pair
from augspec.ops.resize import Side

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=64)]
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
            raise Faults([(("std",), message)]).error()
        return self


class Image(DocumentModel):
    """What is known about the images before any is seen."""

    channels: Literal[1, 3] = 3
    """3 for RGB, 1 for grayscale."""

    size: Side | tuple[Side, Side] | None = None
    """Side of the square images that come in, or height and width; left out where they vary."""


class View(DocumentModel):
    """One named augmented rendering of an image."""

    ops: tuple[AnyOp, ...] = ()
    """The augmentations, in the order in which they act."""

    def identified(self) -> tuple[tuple[str, Op], ...]:
        """The ops with their ids: the one given, or the tag, with `_2`, `_3` ... among equals."""
        seen: dict[str, int] = {}
        found = []
        for op in self.ops:
            if op.id is None:
                seen[op.tag()] = number = seen.get(op.tag(), 0) + 1
                found.append((op.tag() if number == 1 else f"{op.tag()}_{number}", op))
            else:
                found.append((op.id, op))
        return tuple(found)


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

    views: Annotated[dict[Name, View], Field(min_length=1)]
    """The views by name; `original` conventionally has no random op."""

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        faults: list[tuple[tuple[str | int, ...], str]] = []
        if self.normalize is not None and len(self.normalize.mean) not in (1, self.image.channels):
            message = f"needs {self.image.channels} numbers, one for each channel"
            faults.append((("normalize", "mean"), f"{message}, got {len(self.normalize.mean)}"))
        for name, view in self.views.items():
            faults += [(("views", name, *path), text) for path, text in self._view_faults(view)]
        if faults:
            raise Faults(faults).error()
        return self

    def _view_faults(self, view: View) -> list[tuple[tuple[str | int, ...], str]]:
        faults: list[tuple[tuple[str | int, ...], str]] = []
        first: dict[str, int] = {}
        size: Size | None = self.input_size
        for index, (op_id, op) in enumerate(view.identified()):
            if op_id in first:
                message = f"id {op_id!r} is already that of op {first[op_id]} of this view"
                faults.append((("ops", index, "id" if op.id else "op"), message))
            first.setdefault(op_id, index)
            faults += [(("ops", index, *path), text) for path, text in op.faults(size)]
            if op.needs_colour and self.image.channels == 1:
                message = f"{op.tag()} needs colour, and image.channels is 1"
                faults.append((("ops", index, "op"), message))
            size = op.output_size(size) if size is not None else op.fixed_output_size()
        return faults

    @property
    def input_size(self) -> Size | None:
        """Height and width of the images that come in, where the spec says so."""
        return pair(self.image.size) if self.image.size is not None else None

    def document(self) -> dict[str, Any]:
        """The spec as plain data that reads back as an equal spec; defaults are left out."""
        plain = self.model_dump(mode="json", exclude_defaults=True)
        plain["version"] = self.version
        for name, view in self.views.items():
            ops = plain["views"][name].get("ops", [])
            plain["views"][name] = {
                "ops": [
                    {"op": op.tag(), **dumped} for op, dumped in zip(view.ops, ops, strict=True)
                ]
            }
        return plain


def load(path: str | Path, overrides: Sequence[str] = ()) -> Spec:
    """Reads a spec from a YAML or JSON file, without importing torch.

    Args:
        path: the file.
        overrides: assignments such as `views.first.ops.gaussian_blur.p=0`.

    Raises:
        SpecError: the file cannot be read or has mistakes; the error lists them all, each as
            `file:line:column` with the line and a caret.
    """
    return load_model(Spec, path, overrides)


def loads(text: str, name: str = "<string>", overrides: Sequence[str] = ()) -> Spec:
    """Reads a spec from text; `name` stands for the file in error messages.

    Raises:
        SpecError: see `load`.
    """
    return loads_model(Spec, text, name, overrides)

"""What a batch's file holds, whichever its format: named tensors and texts, and a header.

Both formats (`exchange_safetensors`, `exchange_parquet`) store a `Table`; what is in it, and
whether it fits together, is decided here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from augspec.codes.reference import digest
from augspec.codes.saved import ExchangeError, SavedBatch
from augspec.encoding.layout import Layout
from augspec.language.diagnostics import SpecError
from augspec.language.document import validate
from augspec.language.source import parse_source
from augspec.language.spec import Spec

FORMAT = 1
"""The version of the files' content; another one is refused."""


@dataclass(frozen=True)
class Table:
    """What a file holds: columns with an entry for each sample, and a header.

    Attributes:
        header: plain data.
        numbers: tensors whose first dimension is the samples'.
        texts: a text for each sample.
        arrays: a tensor for each sample, whose shapes may differ.
    """

    header: dict[str, Any]
    numbers: dict[str, Tensor]
    texts: dict[str, tuple[str, ...]]
    arrays: dict[str, tuple[Tensor, ...]]

    def content(self) -> str:
        """A digest of all of it, which shows damage that a format would not."""
        header = {k: v for k, v in self.header.items() if k != "content"}
        parts = [json.dumps([header, self.texts], sort_keys=True)]
        parts += [f"{name} {digest(t)}" for name, t in sorted(self.numbers.items())]
        parts += [
            f"{name} {' '.join(map(digest, own))}" for name, own in sorted(self.arrays.items())
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class ViewHeader(BaseModel):
    """What a header says of one view."""

    model_config = ConfigDict(extra="forbid", strict=True)

    layout: str
    slots: list[dict[str, Any]]
    seeds: list[str]


class Header(BaseModel):
    """What stands beside the columns of a file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1]
    spec: dict[str, Any]
    plan: str
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    epoch: Annotated[int, Field(ge=0, lt=2**32)]
    samples: Annotated[int, Field(ge=0)]
    views: dict[str, ViewHeader]
    content: str


def to_table(saved: SavedBatch) -> Table:
    """A batch as a table."""
    header = {
        "format": FORMAT,
        "spec": saved.spec.document(),
        "plan": saved.plan,
        "seed": saved.seed,
        "epoch": saved.epoch,
        "samples": len(saved),
        "views": {
            name: {
                "layout": layout.hash,
                "slots": layout.document(),
                "seeds": list(saved.seeds.get(name, {})),
            }
            for name, layout in saved.layouts.items()
        },
    }
    # what JSON makes of it (tuples become lists), so that the content is what a reader finds
    header = json.loads(json.dumps(header, allow_nan=False))
    numbers = {"id": saved.ids, "height": saved.sizes[:, 0], "width": saved.sizes[:, 1]}
    if saved.positions is not None:
        numbers["position"] = saved.positions
    texts = {"name": saved.names}
    arrays: dict[str, tuple[Tensor, ...]] = {}
    if saved.image_digests is not None:
        texts["image_sha256"] = saved.image_digests
    if saved.images is not None:
        arrays["image"] = saved.images
    for name in saved.layouts:
        numbers[f"codes/{name}"] = saved.codes[name]
        for key, values in saved.seeds.get(name, {}).items():
            numbers[f"seeds/{name}/{key}"] = values
        if name in saved.view_digests:
            texts[f"sha256/{name}"] = saved.view_digests[name]
        if saved.views is not None:
            arrays[f"pixels/{name}"] = saved.views[name]
    table = Table(header, numbers, texts, arrays)
    header["content"] = table.content()
    return table


def read_header(raw: Any) -> Header:
    """A header that was JSON.

    Raises:
        ExchangeError: it is of another version, or not one of ours.
    """
    found = raw.get("format") if isinstance(raw, dict) else None
    if found is not None and found != FORMAT:
        raise ExchangeError(f"has format {found!r}, and this version reads {FORMAT}")
    try:
        return Header.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ExchangeError(f"its header is not that of a batch: {place}: {first['msg']}") from None


def read_layouts(header: Header) -> dict[str, Layout]:
    """The layouts that a header says.

    Raises:
        ExchangeError: one is malformed, or is not what its hash says.
    """
    found = {}
    for name, view in header.views.items():
        try:
            layout = Layout.from_document(name, view.slots)
            widths = [slot.start for slot in layout.slots]
            whole = widths == [0, *(slot.stop for slot in layout.slots)][: len(widths)]
            right = layout.hash == view.layout and whole
        except (TypeError, KeyError, ValueError):
            right = False
        if not right:
            raise ExchangeError(f"the layout of view {name!r} does not match its hash")
        found[name] = layout
    return found


def from_table(table: Table) -> SavedBatch:
    """The batch that a table holds.

    Raises:
        ExchangeError: it holds none, or not all of it fits together.
    """
    header = read_header(table.header)
    layouts = read_layouts(header)
    try:
        spec = validate(Spec, parse_source(json.dumps(header.spec), "spec"))
    except SpecError as error:
        raise ExchangeError(f"its spec has mistakes:\n{error}") from None
    for problem in _misfits(table, header, layouts):
        raise ExchangeError(problem)
    if table.content() != header.content:
        raise ExchangeError("is damaged: its content is not what it was when it was written")
    numbers, texts, arrays = table.numbers, table.texts, table.arrays
    names = list(layouts)
    return SavedBatch(
        spec=spec,
        plan=header.plan,
        seed=header.seed,
        epoch=header.epoch,
        layouts=layouts,
        ids=numbers["id"],
        sizes=torch.stack([numbers["height"], numbers["width"]], dim=1),
        codes={name: numbers[f"codes/{name}"] for name in names},
        seeds={
            name: {key: numbers[f"seeds/{name}/{key}"] for key in view.seeds}
            for name, view in header.views.items()
        },
        names=texts["name"],
        positions=numbers.get("position"),
        image_digests=texts.get("image_sha256"),
        view_digests={n: texts[f"sha256/{n}"] for n in names if f"sha256/{n}" in texts},
        images=arrays.get("image"),
        views={n: arrays[f"pixels/{n}"] for n in names}
        if any(name.startswith("pixels/") for name in arrays)
        else None,
    )


def _misfits(table: Table, header: Header, layouts: Mapping[str, Layout]) -> Iterator[str]:
    """What is missing or too much, or has the wrong type, shape or numbers."""
    B, views = header.samples, list(layouts)
    numbers: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {}
    numbers |= dict.fromkeys(("id", "height", "width"), (torch.int64, (B,)))
    for name, layout in layouts.items():
        numbers[f"codes/{name}"] = (torch.float32, (B, layout.width))
        for key in header.views[name].seeds:
            numbers[f"seeds/{name}/{key}"] = (torch.float64, (B,))
    needed = [*numbers, "name"]
    numbers["position"] = (torch.int64, (B,))
    pixels = [f"pixels/{name}" for name in views]
    known = {*numbers, "name", "image_sha256", "image", *pixels, *(f"sha256/{n}" for n in views)}
    present = {**table.numbers, **table.texts, **table.arrays}
    if any(name in present for name in pixels):
        needed += pixels
    yield from (f"has no {name!r}" for name in needed if name not in present)
    yield from (f"has a column {name!r}, unknown here" for name in present if name not in known)
    for name, tensor in table.numbers.items():
        dtype, shape = numbers.get(name, (tensor.dtype, tuple(tensor.shape)))
        if tensor.dtype != dtype or tuple(tensor.shape) != shape:
            yield (
                f"{name!r} is {tuple(tensor.shape)} {tensor.dtype}, and its header asks for "
                f"{shape} {dtype}"
            )
        elif not tensor.isfinite().all():
            row = int((~tensor.isfinite()).reshape(B, -1).any(dim=1).nonzero()[0])
            yield f"{name!r} has a number that is not finite, in sample {row}"
    for name, entries in {**table.texts, **table.arrays}.items():
        if len(entries) != B:
            yield f"{name!r} has {len(entries)} entries for {B} samples"
    for name, arrays in table.arrays.items():
        dtype = torch.uint8 if name == "image" else torch.float32
        if any(array.ndim != 3 or array.dtype != dtype for array in arrays):
            yield f"{name!r} should be (C, H, W) {dtype} for each sample"

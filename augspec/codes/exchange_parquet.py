"""A batch as a parquet table: a row for each sample, which any data frame opens.

Columns: `id`, `height`, `width`, `position`, `name`, `image_sha256`; `image` as PNG, which loses
nothing; and for each view `VIEW/OP.PARAMETER` for every column of its code and every seed,
`VIEW/sha256`, and `VIEW/pixels` as `.npy`. The rest is JSON in the metadata of the schema.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from augspec.codes.exchange_table import Table, read_header, read_layouts
from augspec.codes.saved import ExchangeError

METADATA = b"augspec"
_TYPES = {torch.int64: pa.int64(), torch.float32: pa.float32(), torch.float64: pa.float64()}


def dump(table: Table) -> bytes:
    """The file's content."""
    columns: dict[str, pa.Array] = {}
    layouts = read_layouts(read_header(table.header))
    for name, values in table.numbers.items():
        kind, *rest = name.split("/", 2)
        if kind == "codes":
            names = layouts[rest[0]].column_names
            for column, own in zip(names, values.unbind(1), strict=True):
                columns[f"{rest[0]}/{column}"] = _numbers(own)
        else:
            columns["/".join(rest) or name] = _numbers(values)
    for name, texts in table.texts.items():
        columns[_column(name)] = pa.array(texts, pa.string())
    for name, arrays in table.arrays.items():
        encode = _to_png if name == "image" else _to_npy
        columns[_column(name)] = pa.array([encode(array) for array in arrays], pa.binary())
    metadata = {METADATA: json.dumps(table.header, allow_nan=False).encode()}
    sink = pa.BufferOutputStream()
    content = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(
        content,
        sink,
        compression="zstd",
        use_dictionary=False,  # values rarely repeat
        write_statistics=False,  # nobody searches such a file
    )
    return sink.getvalue().to_pybytes()


def parse(path: Path) -> Table:
    """Reads a file that `dump` made.

    Raises:
        ExchangeError: it is damaged, or is not one of ours.
    """
    try:
        found = pq.read_table(pa.BufferReader(path.read_bytes()))
        text = (found.schema.metadata or {}).get(METADATA)
        raw = None if text is None else json.loads(text)
        columns = dict(zip(found.column_names, found.columns, strict=True))
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise ExchangeError(f"is damaged, or no parquet file: {error}") from None
    if raw is None:
        raise ExchangeError("holds a table, but no batch of augspec")
    header = read_header(raw)
    numbers: dict[str, Tensor] = {}
    for view, layout in read_layouts(header).items():
        parts = [_tensor(columns, f"{view}/{name}", torch.float32) for name in layout.column_names]
        numbers[f"codes/{view}"] = torch.stack(parts, 1) if parts else torch.zeros(len(found), 0)
        for key in header.views[view].seeds:
            numbers[f"seeds/{view}/{key}"] = _tensor(columns, f"{view}/{key}", torch.float64)
    for name in ("id", "height", "width", "position"):
        if name in columns:
            numbers[name] = _tensor(columns, name, torch.int64)
    names = [f"sha256/{view}" for view in header.views]
    texts = _taken(columns, ["name", "image_sha256", *names], pa.string(), str)
    arrays = _taken(columns, ["image"], pa.binary(), _from_png)
    arrays |= _taken(columns, [f"pixels/{v}" for v in header.views], pa.binary(), _from_npy)
    if columns:
        raise ExchangeError(f"has a column {next(iter(columns))!r}, unknown here")
    return Table(raw, numbers, texts, arrays)


def _column(name: str) -> str:
    """`first/sha256`, for `sha256/first`: a view's columns begin with its name."""
    kind, _, view = name.partition("/")
    return f"{view}/{kind}" if view else name


def _numbers(values: Tensor) -> pa.Array:
    return pa.array(values.numpy(), _TYPES[values.dtype])


def _tensor(columns: dict[str, pa.ChunkedArray], name: str, dtype: torch.dtype) -> Tensor:
    """The column as a tensor, taken out of the others."""
    column = columns.pop(name, None)
    if column is None:
        raise ExchangeError(f"has no column {name!r}")
    if column.type != _TYPES[dtype] or column.null_count:
        raise ExchangeError(f"column {name!r} should be {_TYPES[dtype]}, without nulls")
    # a copy, since the file's memory cannot be written to
    return torch.from_numpy(column.to_numpy().copy())


def _taken(
    columns: dict[str, pa.ChunkedArray],
    names: Iterable[str],
    kind: pa.DataType,
    convert: Callable[[Any], Any],
) -> dict[str, tuple[Any, ...]]:
    """The columns of these names that there are, entry by entry, taken out of the others."""
    found = {}
    for name in names:
        column = columns.pop(_column(name), None)
        if column is None:
            continue
        if column.type != kind or column.null_count:
            raise ExchangeError(f"column {_column(name)!r} should be {kind}, without nulls")
        try:
            found[name] = tuple(convert(entry) for entry in column.to_pylist())
        except Exception as error:  # decoders of damaged bytes raise whatever they come upon
            raise ExchangeError(f"column {_column(name)!r} is damaged: {error}") from None
    return found


def _to_png(image: Tensor) -> bytes:
    """An image `(C, H, W)` uint8 of 1 or 3 channels."""
    pixels = image.permute(1, 2, 0).numpy()
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(stream, "PNG")
    return stream.getvalue()


def _from_png(data: bytes) -> Tensor:
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        pixels = np.array(image)
    if pixels.dtype != np.uint8:
        raise ValueError(f"an image of 8 bits was expected, got {pixels.dtype}")
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1).contiguous()


def _to_npy(array: Tensor) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array.numpy(), allow_pickle=False)
    return stream.getvalue()


def _from_npy(data: bytes) -> Tensor:
    return torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False))

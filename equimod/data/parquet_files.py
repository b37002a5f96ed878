"""What parquet files hold: columns of images and labels, names of classes, row groups."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor

from augspec import nearest
from equimod.data.base import UNKNOWN, DataError

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label", "coarse_label")


def read_schema(path: Path) -> pa.Schema:
    """Returns the schema of a parquet file; a `DataError` names a file that is none."""
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable parquet file: {error}") from error


def image_column(path: Path, schema: pa.Schema, wanted: str | None) -> str:
    """Finds the column of encoded images.

    Returns:
        The path of the binary column, such as `"img.bytes"`.

    Raises:
        DataError: no such column, or one of another type.
    """
    name = wanted or next((name for name in IMAGE_COLUMNS if name in schema.names), None)
    if name is None:
        columns = ", ".join(schema.names)
        raise DataError(f"{path} has no column `image` or `img`; set `image_column` ({columns})")
    kind = _field(path, schema, name).type
    if _is_binary(kind):
        return name
    if pa.types.is_struct(kind) and any(
        field.name == "bytes" and _is_binary(field.type) for field in kind
    ):
        return f"{name}.bytes"
    raise DataError(f"{path}: column '{name}' holds {kind}, not encoded images")


def label_columns(path: Path, schema: pa.Schema, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """Finds the columns of labels; a `DataError` names one that is absent or not of integers."""
    if wanted is None:
        found = [name for name in LABEL_COLUMNS if name in schema.names]
        return tuple(name for name in found if pa.types.is_integer(schema.field(name).type))
    for name in wanted:
        kind = _field(path, schema, name).type
        if not pa.types.is_integer(kind):
            raise DataError(f"{path}: label column '{name}' holds {kind}, not integers")
    return wanted


def read_labels(
    files: list[Path], names: tuple[str, ...], schema: pa.Schema
) -> tuple[dict[str, tuple[str, ...]], Tensor]:
    """Reads the label columns of all files.

    Returns:
        The class names of each kind (the numbers themselves where the files name no classes), and
        the labels `(N, L)`; null and negative labels become -1. Without label columns one kind,
        "class", of unknown labels.

    Raises:
        DataError: a label is larger than the number of classes that the files name.
    """
    if not names:
        count = sum(pq.read_metadata(path).num_rows for path in files)
        return {"class": ()}, torch.full((count, 1), UNKNOWN)
    tables = [pq.read_table(path, columns=list(names)) for path in files]
    columns = [
        np.concatenate([pc.fill_null(table[name], UNKNOWN).to_numpy() for table in tables])
        for name in names
    ]
    declared = declared_classes(schema)
    classes = {}
    for name, column in zip(names, columns, strict=True):
        known = declared.get(name) or tuple(map(str, range(column.max(initial=UNKNOWN) + 1)))
        if column.max(initial=UNKNOWN) >= len(known):
            row = int(column.argmax())
            raise DataError(
                f"{files[0].parent}: label {column[row]} in column '{name}', row {row}, is out of "
                f"range: the files name {len(known)} classes"
            )
        classes[label_kind(name)] = known
    labels = torch.from_numpy(np.stack(columns, axis=1).astype(np.int64))
    return classes, labels.clamp_min(UNKNOWN)


def label_kind(column: str) -> str:
    """What a label column is called: `"class"` for `label`, `"fine"` for `fine_label`."""
    return "class" if column in ("label", "labels") else column.removesuffix("_label")


def declared_classes(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """The class names that Hugging Face `datasets` keeps in the metadata, by column."""
    raw = (schema.metadata or {}).get(b"huggingface")
    features: dict[str, Any] = json.loads(raw)["info"].get("features", {}) if raw else {}
    return {
        name: tuple(map(str, feature["names"]))
        for name, feature in features.items()
        if isinstance(feature, dict) and isinstance(feature.get("names"), list)
    }


@dataclass(frozen=True)
class RowGroup:
    """A row group: the least that can be read of a parquet file.

    Attributes:
        path: its file.
        number: which of the file's groups it is.
        start: index of its first row among the rows of all files.
        offset: index of its first row among the rows of its file.
    """

    path: Path
    number: int
    start: int
    offset: int


def row_groups(files: list[Path]) -> list[RowGroup]:
    """Lists the row groups of all files, in order."""
    groups: list[RowGroup] = []
    start = 0
    for path in files:
        metadata = pq.read_metadata(path)
        first = start
        for number in range(metadata.num_row_groups):
            groups.append(RowGroup(path, number, start, start - first))
            start += metadata.row_group(number).num_rows
    return groups


def read_bytes(group: RowGroup, column: str) -> list[bytes | None]:
    """Reads the encoded images of one row group; None where a row holds none."""
    with pq.ParquetFile(group.path) as file:
        values = file.read_row_group(group.number, columns=[column]).column(0)
    if pa.types.is_struct(values.type):
        values = pc.struct_field(values, "bytes")
    return list(values.to_pylist())


def _field(path: Path, schema: pa.Schema, name: str) -> pa.Field:
    if name in schema.names:
        return schema.field(name)
    close = nearest(name, schema.names)
    hint = f"; did you mean '{close}'?" if close else ""
    raise DataError(f"{path} has no column '{name}'{hint} (columns: {', '.join(schema.names)})")


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

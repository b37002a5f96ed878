"""A batch as one safetensors file, and all that is not a tensor as JSON in its header.

Tensors: `id`, `height`, `width` and `position` `(B,)`; `codes/VIEW` `(B, E)`; `seeds/VIEW/OP.seed`
`(B,)`; and for each sample, counted from 0, `image/0` and `pixels/VIEW/0`.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from augspec.codes.exchange_table import Table
from augspec.codes.saved import ExchangeError

HEADER = "augspec"


def dump(table: Table) -> bytes:
    """The file's content."""
    tensors = {name: tensor.contiguous() for name, tensor in table.numbers.items()}
    for name, arrays in table.arrays.items():
        tensors |= {f"{name}/{k}": array.contiguous() for k, array in enumerate(arrays)}
    header = {**table.header, "texts": table.texts, "arrays": list(table.arrays)}
    # one value for each name: safetensors refuses tensors that share memory
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    return save(tensors, {HEADER: json.dumps(header, allow_nan=False)})


def parse(path: Path) -> Table:
    """Reads a file that `dump` made.

    Raises:
        ExchangeError: it is damaged, or is not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(HEADER)
            if text is None:
                raise ExchangeError("holds tensors, but no batch of augspec")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ExchangeError(f"is damaged, or no safetensors file: {error}") from None
    try:
        header = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ExchangeError(f"is damaged: its header is no JSON: {error}") from None
    if not isinstance(header, dict):
        raise ExchangeError("is damaged: its header is no JSON object")
    texts, names = header.pop("texts", {}), header.pop("arrays", [])
    if not _are_texts(texts) or not _are_names(names):
        raise ExchangeError("is damaged: its header has no lists of texts")
    arrays = {name: _taken(tensors, name) for name in names}
    return Table(header, tensors, {name: tuple(own) for name, own in texts.items()}, arrays)


def _taken(tensors: dict[str, Tensor], name: str) -> tuple[Tensor, ...]:
    """The tensors `name/0`, `name/1` ..., taken out of the others."""
    found: list[Tensor] = []
    while (tensor := tensors.pop(f"{name}/{len(found)}", None)) is not None:
        found.append(tensor)
    return tuple(found)


def _are_names(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _are_texts(texts: object) -> bool:
    return isinstance(texts, dict) and all(_are_names(own) for own in texts.values())

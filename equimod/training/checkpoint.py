"""Checkpoints: one safetensors file with all tensors, and everything else as JSON in its header.

No pickle: reading a checkpoint runs no code, whoever wrote it. A file is replaced by rename, so
that a run killed at any moment leaves the old checkpoint or the new one. A checksum over tensors
and header tells what a disk has spoilt since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.optim import Optimizer

import augspec
from equimod.training.sharding import placed

CHECKPOINT = "last.safetensors"
"""The last checkpoint in an arm's folder, replaced whenever a newer one is complete."""
HEADER, CHECKSUM, HEADER_CHECKSUM = "equimod", "checksum", "header_checksum"
"""Names in the file's metadata."""
FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of an arm after a step.

    Attributes:
        tensors: by name; `learner.` and `optimizer.` are the two parts.
        header: plain data: step, counters, the optimiser's settings, the config, the layout.
    """

    tensors: dict[str, Tensor]
    header: dict[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `name.`, without it."""
        prefix = f"{name}."
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; whatever goes wrong, an older one at `path` stays whole.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    tensors = {name: t.detach().contiguous().cpu() for name, t in checkpoint.tensors.items()}
    header = json.dumps({"format": FORMAT, **checkpoint.header})
    metadata = {HEADER: header, CHECKSUM: checksum(tensors, header)}
    metadata[HEADER_CHECKSUM] = checksum({}, header)  # for those who read nothing else
    try:
        # not `save_file`, whose own temporary file a kill would leave behind
        augspec.write_atomically(path, save(tensors, metadata))
    except OSError as error:
        size = sum(tensor.nbytes for tensor in tensors.values()) / 2**20
        reason = f"cannot write the checkpoint of {size:,.0f} MB: {error.strerror}"
        if path.exists():
            reason += "; the one before it is whole"
        raise OSError(error.errno, reason, str(path)) from error


def checksum(tensors: dict[str, Tensor], header: str) -> str:
    """SHA-256 of everything that a checkpoint holds.

    Args:
        tensors: contiguous, on the CPU.
        header: as it is written.
    """
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        CheckpointError: there is none, it is damaged, or it is not one of ours.
    """
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header, metadata = _header(file, path), file.metadata()
    # the first versions wrote neither; that the name of one is spoilt must not hide the rest
    checked = CHECKSUM in metadata or HEADER_CHECKSUM in metadata
    if checked and metadata.get(CHECKSUM) != checksum(tensors, metadata[HEADER]):
        raise CheckpointError(
            f"checkpoint {path} is damaged: its checksum does not fit its content"
        )
    return Checkpoint(tensors, header)


def load_header(path: Path) -> dict[str, Any]:
    """Reads what a checkpoint says of itself, without its tensors; a run may replace it meanwhile.

    Raises:
        CheckpointError: see `load_checkpoint`.
    """
    # for torch's tensors, the file would be opened twice: perhaps the old one, then the new
    with _opened(path, "np") as file:
        return _header(file, path)


@contextmanager
def _opened(path: Path, framework: str = "pt") -> Iterator[Any]:
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged: {error}") from None


def _header(file: Any, path: Path) -> dict[str, Any]:
    metadata = file.metadata() or {}
    header = metadata.get(HEADER)
    if header is None:
        raise CheckpointError(f"{path} holds weights, but is no checkpoint of a run")
    if HEADER_CHECKSUM in metadata and metadata[HEADER_CHECKSUM] != checksum({}, header):
        raise CheckpointError(f"checkpoint {path} is damaged: its header does not fit its checksum")
    try:
        content = json.loads(header)
    except json.JSONDecodeError as error:
        raise CheckpointError(f"checkpoint {path} is damaged: its header: {error}") from None
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise CheckpointError(f"{path} has another format than this version reads ({FORMAT})")
    return content


def optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as named tensors and plain data."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value
            else:
                plain.setdefault(str(index), {})[name] = value
    return tensors, {"plain": plain, "param_groups": state["param_groups"]}


def restore_optimizer(
    optimizer: Optimizer, tensors: dict[str, Tensor], header: dict[str, Any]
) -> None:
    """Puts back what `optimizer_state` gave."""
    state: dict[int, dict[str, Any]] = {int(i): dict(e) for i, e in header["plain"].items()}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = placed(tensor, parameters[int(index)])
    optimizer.load_state_dict({"state": state, "param_groups": header["param_groups"]})


def learner_tensors(module: torch.nn.Module) -> dict[str, Tensor]:
    """A module's whole state: weights, batch statistics, target networks."""
    return {f"learner.{name}": tensor for name, tensor in module.state_dict().items()}


def restore_learner(module: torch.nn.Module, checkpoint: Checkpoint, path: Path) -> None:
    """Puts back what `learner_tensors` gave.

    Raises:
        CheckpointError: the modules have other weights, as those of another version may.
    """
    own = module.state_dict()
    tensors = {name: placed(t, own.get(name)) for name, t in checkpoint.part("learner").items()}
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{path} holds the weights of other modules: {error}") from None


def differences(mine: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """The fields in which two configs differ, one line each."""
    lines = []
    for key in sorted({*mine, *theirs}):
        a, b = mine.get(key), theirs.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {b!r} there, {a!r} here")
    return lines

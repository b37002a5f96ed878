"""How far the training of a run folder is, from the records that it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from equimod.records import DOCUMENT, METRICS, read_metrics


@dataclass(frozen=True)
class Progress:
    """How far one arm is.

    Attributes:
        arm: its name.
        epoch: epochs done, fractional.
        epochs: epochs in all.
        metrics: the last value of everything that it recorded, by name.
    """

    arm: str
    epoch: float
    epochs: int
    metrics: dict[str, float]


def progress(root: Path) -> list[Progress]:
    """How far each arm of a run folder is; empty where nothing readable is written yet."""
    try:
        document = YAML(typ="safe").load((root / DOCUMENT).read_text(encoding="utf-8"))
        arms, training = document["arms"], document["training"]
        epochs = {
            name: int({**training, **((own or {}).get("training") or {})}["epochs"])
            for name, own in arms.items()
        }
    except (OSError, YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return []
    return [_of_arm(root / name, name, total) for name, total in epochs.items()]


def _of_arm(folder: Path, name: str, epochs: int) -> Progress:
    metrics: dict[str, float] = {}
    for record in read_metrics(folder / METRICS):
        metrics |= record
    metrics.pop("step", None)
    return Progress(name, metrics.pop("epoch", 0.0), epochs, metrics)

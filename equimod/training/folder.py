"""The run folder: where a run's documents, checkpoints, records and results are.

runs/<name>/
  run.yaml             every setting of every arm, resolved; `equimod train run.yaml` repeats it
  augmentations.yaml   the augmentation spec
  environment.json     command, versions, hardware, commit
  summary.json         all numbers; summary.md the same as a table; overview.png as a picture
  <arm>/last.safetensors, metrics.jsonl, tensorboard/
  <arm>/best.safetensors, epoch-00020.safetensors   what `training.keep_*` keeps
  <arm>/checkpoints.jsonl   how long the writing of each checkpoint took, and its size
  .lock                held by the process that works here
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from augspec import write_atomically
from equimod.config import Run
from equimod.data import DataError
from equimod.records import DOCUMENT, ENVIRONMENT, SPEC, SUMMARY
from equimod.training.environment import describe_environment


class RunFolder:
    """Paths of one run's folder.

    Args:
        root: the folder; need not exist yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.document = root / DOCUMENT
        self.environment = root / ENVIRONMENT
        self.summary = root / SUMMARY
        self.table = root / "summary.md"
        self.overview = root / "overview.png"

    def arm(self, name: str) -> Path:
        """The folder of one arm."""
        return self.root / name

    def record(self, run: Run) -> None:
        """Writes the run's documents, complete and resolved, and what it runs on."""
        self.record_settings(run)
        write_atomically(self.environment, json.dumps(describe_environment(), indent=2) + "\n")

    def record_settings(self, run: Run) -> None:
        """Writes the run's documents, complete and resolved."""
        write_atomically(self.root / SPEC, to_yaml(run.spec.document()))
        write_atomically(self.document, to_yaml(resolved(run)))

    def clear(self, run: Run) -> None:
        """Deletes what was trained: the arms' folders, and the results."""
        for name in run.arms:
            shutil.rmtree(self.arm(name), ignore_errors=True)
        for path in (self.summary, self.table, self.overview):
            path.unlink(missing_ok=True)

    def working_folder(self) -> Path:
        """The folder in which the run was started: where relative data paths begin.

        Raises:
            DataError: the record of it is missing or damaged.
        """
        try:
            recorded = json.loads(self.environment.read_text(encoding="utf-8"))
            return Path(recorded["folder"])
        except (OSError, ValueError, TypeError, KeyError):
            what = "which says in which folder the run was started, is missing or damaged"
            raise DataError(f"{self.environment}, {what}") from None


def resolved(run: Run) -> dict[str, Any]:
    """The run as one document that reads back as the same arms."""
    arms = {name: config.model_dump(mode="json") for name, config in run.arms.items()}
    shared = next(iter(arms.values())) | {"augmentations": SPEC}
    differing = {
        name: {k: v for k, v in arm.items() if k != "augmentations" and v != shared[k]}
        for name, arm in arms.items()
    }
    return shared | {"arms": differing}


def to_yaml(document: dict[str, Any]) -> str:
    """Plain data as YAML that a person can read."""
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 100
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()

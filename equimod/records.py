"""The files in a run's folder that others read too, without torch: their names, and the metrics.

`equimod.training` writes them; see `equimod.training.folder` for the whole folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCUMENT, SPEC = "run.yaml", "augmentations.yaml"
ENVIRONMENT, SUMMARY = "environment.json", "summary.json"
"""In the run's folder."""
METRICS = "metrics.jsonl"
"""In an arm's folder."""


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The records of `metrics.jsonl`; a last line that a kill cut short is left out."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records

"""The kinds of job that a submission has."""

from __future__ import annotations

TRAIN, EVALUATE = "train", "evaluate"

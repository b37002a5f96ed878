"""What a run found, as data: written to `summary.json`, read back typed, shown as table and figure.

Metrics have flat names, `group/name`; a metric that was not measured is absent:

    linear/<kind>, knn/<kind>          top-1 on the test split for a kind of label, percent
    equivariance/absolute, ...         `EquivarianceMeasures` of the arm's own EquiMod head
    equivariance/retrieval_mrr, ...    `RetrievalMeasures` of that head
    probe/absolute, ..., probe/retrieval_mrr, ...   the same of a fresh head (`ProbeResult`)
    throughput/images_per_second       source images per second of training

Each entry of a history has `epoch`, and of these what there is: `loss/invariance`,
`loss/equivariance`, `loss/total`, `knn/<kind>`, `lr`.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError, field_validator

from augspec import DocumentModel, write_atomically

INVARIANCE_LOSS = "loss/invariance"
EQUIVARIANCE_LOSS = "loss/equivariance"
RETRIEVAL = "probe/retrieval_mrr"
RETRIEVAL_CHANCE = "probe/retrieval_chance_mrr"
THROUGHPUT = "throughput/images_per_second"
TEST_SPLIT = "the test split"
HELD_OUT_IMAGES = "held-out training images"


class ArmResult(DocumentModel):
    """What one arm of a comparison, or one baseline, gave with one seed."""

    name: str = Field(min_length=1)
    """What the arm is called, such as `simclr + equimod`."""

    seed: int | None = None
    """The seed; none where nothing is random, as for raw pixels."""

    metrics: dict[str, float] = Field(default_factory=dict)
    """Final numbers by name, see the module's docstring."""

    history: tuple[dict[str, float], ...] = ()
    """Numbers of each epoch, in order, each with its `epoch`."""

    per_augmentation: dict[str, dict[str, float]] = Field(default_factory=dict)
    """`EquivarianceMeasures` of the arm's own head by op id, in the order in which the ops act."""

    @field_validator("history")
    @classmethod
    def _dated(cls, history: tuple[dict[str, float], ...]) -> tuple[dict[str, float], ...]:
        for number, entry in enumerate(history):
            if "epoch" not in entry:
                raise ValueError(f"entry {number} has no 'epoch'; it has: {', '.join(entry)}")
        return history


class RunSummary(DocumentModel):
    """All that a run found."""

    title: str = Field(min_length=1)
    """What was run, for captions."""

    data: str = Field(min_length=1)
    """The data, for captions: its name, and how many images were trained and tested on."""

    measured_on: str = TEST_SPLIT
    """What accuracies were measured on."""

    labels: tuple[str, ...]
    """The kinds of label, in the order in which they are shown."""

    arms: tuple[ArmResult, ...]
    """What was trained."""

    baselines: tuple[ArmResult, ...] = ()
    """What was not trained, such as raw pixels and the encoder at its random initialisation."""

    @property
    def rows(self) -> tuple[ArmResult, ...]:
        """Baselines, then arms: the order of every table and figure."""
        return self.baselines + self.arms

    @property
    def row_names(self) -> tuple[str, ...]:
        """A name for each row: the arm's, with its seed where several rows have that name."""
        names = [row.name for row in self.rows]
        return tuple(
            row.name if names.count(row.name) == 1 else f"{row.name}, seed {row.seed}"
            for row in self.rows
        )


def write_summary(path: str | Path, summary: RunSummary) -> Path:
    """Writes a summary as JSON, atomically.

    Raises:
        OSError: the file cannot be written.
    """
    return write_atomically(path, summary.model_dump_json(indent=2) + "\n")


def read_summary(path: str | Path) -> RunSummary:
    """Reads back what `write_summary` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a summary; the message names the file and every mistake in it.
    """
    try:
        return RunSummary.model_validate_json(Path(path).read_bytes())
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'document'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ValueError(f"{path} is not a run summary: {mistakes}") from error

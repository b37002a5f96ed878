"""What was submitted: kept beside the results, so that any later command finds the jobs again.

<root>/slurm/
  submission.json   this record
  profile.yaml      the profile, resolved
  code/             the snapshot that the jobs run
  logs/             what the jobs print, their batch scripts, submitit's own files
  attempts/         how often each job started and how it ended (`slurm.attempts`)
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from slurm.files import write_atomically

VERSION = 1
STRICT = ConfigDict(extra="forbid")
"""A record with a field that nobody knows was not written by this program."""


class SubmissionError(ValueError):
    """A record of a submission that is missing or damaged; the message names the file."""


@dataclass(frozen=True)
class Job:
    """One job of a submission.

    Attributes:
        point: what it works on, by the name of a folder below the root; empty for the root itself.
        kind: what it does, such as `train`.
        id: its id, such as `12` or `12_3`; None while it is being submitted.
    """

    __pydantic_config__ = STRICT

    point: str
    kind: str
    id: str | None = None


@dataclass(frozen=True)
class Submission:
    """The record of a submission.

    Attributes:
        name: of its jobs.
        executor: `slurm` or `local`.
        token: the comment by which its jobs can be found in the queue.
        submitted: when it was made, as ISO 8601.
        command: with which it was made.
        host: where it was made.
        code: hash of the snapshot that its jobs run.
        jobs: all of them, the earlier ones of a resumed point first.
    """

    __pydantic_config__ = STRICT

    name: str
    executor: str
    token: str
    submitted: str
    command: tuple[str, ...]
    host: str
    code: str
    jobs: tuple[Job, ...]

    def adding(self, jobs: Iterable[Job]) -> Submission:
        """The record with more jobs, instead of those that had no id yet."""
        known = tuple(job for job in self.jobs if job.id is not None)
        return replace(self, jobs=(*known, *jobs))

    def latest(self) -> list[Job]:
        """For each point and kind the job that was submitted last, in the order of submission."""
        last: dict[tuple[str, str], Job] = {}
        for job in self.jobs:
            last[job.point, job.kind] = job
        return list(last.values())


class SubmissionFolder:
    """The paths of a submission.

    Args:
        root: where its results go.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "slurm"
        self.file = self.path / "submission.json"
        self.profile = self.path / "profile.yaml"
        self.code = self.path / "code"
        self.logs = self.path / "logs"
        self.records = self.path / "attempts"

    def write(self, submission: Submission) -> None:
        """Writes the record, whole or not at all.

        Raises:
            OSError: the folder cannot be written to.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        document = {"version": VERSION, **asdict(submission)}
        write_atomically(self.file, json.dumps(document, indent=2) + "\n")

    def read(self) -> Submission:
        """Reads the record.

        Raises:
            SubmissionError: there is none, or it is damaged.
        """
        if not self.file.is_file():
            raise SubmissionError(f"nothing was submitted from {self.root}: no {self.file}")
        try:
            document: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8"))
            version = document.pop("version")
            if version != VERSION:
                message = f"has version {version!r}, and this program reads version {VERSION}"
                raise SubmissionError(f"{self.file} {message}")
            return TypeAdapter(Submission).validate_python(document)
        except SubmissionError:
            raise
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise SubmissionError(f"{self.file} is damaged: {where}: {first['msg']}") from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise SubmissionError(f"{self.file} is damaged: {error}") from None

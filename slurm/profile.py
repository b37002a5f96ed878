"""What a person says of the machines that jobs run on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic_core import PydanticCustomError

TIME = re.compile(
    r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>[0-5]?\d))?(?::(?P<third>[0-5]?\d))?"
)
MEMORY = re.compile(r"[1-9]\d*[KMGT]?B?")
MAIL_TYPES = ("NONE", "BEGIN", "END", "FAIL", "REQUEUE", "ALL", "TIME_LIMIT", "TIME_LIMIT_90")
OURS = ("output", "error", "array", "signal", "requeue", "no-requeue", "dependency", "job-name")
"""Options of sbatch that the launcher sets itself."""


def _one_line(text: str) -> str:
    """A value of an option, which must not begin another line of the script."""
    if re.search(r"[\r\n\0]", text):
        raise PydanticCustomError("line", "must be one line")
    if not text.strip():
        raise PydanticCustomError("empty", "must not be empty: leave the field out")
    return text


def _time(text: str) -> str:
    found = TIME.fullmatch(text)
    if found is None or _minutes(text) == 0:
        message = f"must be a time such as 20:00:00 or 2-00:00:00, got {text!r}"
        raise PydanticCustomError("time", message)
    return text


def _minutes(text: str) -> int:
    """A time as Slurm writes it, in minutes, rounded up."""
    found = TIME.fullmatch(text)
    assert found is not None
    days, first, second, third = (
        int(found[name] or 0) for name in ("days", "first", "second", "third")
    )
    if found["days"] is not None:  # days-hours:minutes:seconds
        seconds = ((days * 24 + first) * 60 + second) * 60 + third
    elif found["third"] is not None:  # hours:minutes:seconds
        seconds = (first * 60 + second) * 60 + third
    else:  # minutes:seconds
        seconds = first * 60 + second
    return -(-seconds // 60)


def _memory(text: str) -> str:
    if not MEMORY.fullmatch(text):
        raise PydanticCustomError("memory", f"must be a size such as 32GB or 4000MB, got {text!r}")
    return text


def _mail(text: str) -> str:
    if text not in MAIL_TYPES:
        listed = ", ".join(MAIL_TYPES)
        raise PydanticCustomError("mail", f"must be one of {listed}, got {text!r}")
    return text


Line = Annotated[StrictStr, AfterValidator(_one_line)]
Time = Annotated[StrictStr, AfterValidator(_time)]
Memory = Annotated[StrictStr, AfterValidator(_memory)]
Mail = Annotated[StrictStr, AfterValidator(_mail)]
Variable = Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Option = Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9-]*$")]
Count = Annotated[StrictInt, Field(ge=1)]

SETTINGS = ConfigDict(
    frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=False
)
"""Of all models here; those of `augspec` are alike, which this package does not know."""


class Resources(BaseModel):
    """What a job asks for; what is left out is asked for by nobody, and the cluster decides."""

    model_config = SETTINGS

    partition: Line | None = None
    """The partition, or several with commas."""
    account: Line | None = None
    """The account that pays."""
    qos: Line | None = None
    """The quality of service."""
    constraint: Line | None = None
    """Features that the nodes must have, such as `v100-32g`."""
    reservation: Line | None = None
    """A reservation of nodes."""
    nodelist: Line | None = None
    """These nodes, and no others."""
    exclude: Line | None = None
    """Any nodes but these."""
    nodes: Count = 1
    """How many nodes."""
    gpus_per_node: Annotated[StrictInt, Field(ge=0)] = 0
    """GPUs on each node, each with a process of its own; without any, CPUs compute."""
    gpu_type: Line | None = None
    """The kind of GPU, where a partition has several, such as `a100`."""
    gpu_request: Literal["gres", "gpus_per_node", "none"] = "gres"
    """How GPUs are asked for, in which clusters differ. `none`: the partition has them anyway."""
    tasks_per_node: Count | None = None
    """Processes on each node; one a GPU if left out, which is the only choice with GPUs."""
    cpus_per_task: Count | None = None
    """CPU cores of each process, for its threads that read images among others."""
    memory: Memory | None = None
    """Memory on each node, such as `32GB`."""
    memory_per_cpu: Memory | None = None
    """Memory for each core, where a cluster wants it so."""
    memory_per_gpu: Memory | None = None
    """Memory for each GPU, where a cluster wants it so."""
    time: Time = "1:00:00"
    """The most time one start of a job may take, `hours:minutes:seconds` or `days-hours`. A longer
    training goes on in the next start, which it asks for by itself."""

    @property
    def minutes(self) -> int:
        """The time limit in minutes, rounded up."""
        return _minutes(self.time)

    @property
    def processes(self) -> int:
        """Processes on each node."""
        return self.tasks_per_node or self.gpus_per_node or 1

    @property
    def tasks(self) -> int:
        """Processes on all nodes together."""
        return self.nodes * self.processes

    @model_validator(mode="after")
    def _consistent(self) -> Resources:
        if self.gpus_per_node and self.tasks_per_node not in (None, self.gpus_per_node):
            message = (
                f"tasks_per_node: must be gpus_per_node ({self.gpus_per_node}), since each GPU"
            )
            raise PydanticCustomError(
                "tasks", f"{message} has one process, got {self.tasks_per_node}"
            )
        given = [n for n in ("memory", "memory_per_cpu", "memory_per_gpu") if getattr(self, n)]
        if len(given) > 1:
            raise PydanticCustomError(
                "memories", f"only one of {' and '.join(given)} can be asked for"
            )
        if self.gpu_type and not self.gpus_per_node:
            raise PydanticCustomError("gpu_type", "gpu_type: of no use with gpus_per_node 0")
        return self


class Profile(Resources):
    """Where jobs run, what they get there, and how often they are tried.

    A job has one process for each GPU. Before its time is over, and where a cluster warns of a
    preemption, it writes a checkpoint and waits in the queue again.
    """

    version: Literal[1]
    """Version of the format."""
    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$", max_length=64)]
    """What the profile is called."""
    description: StrictStr = ""
    """What it is for."""
    executor: Literal["slurm", "local", "debug"] = "slurm"
    """`slurm`: jobs of a cluster; `local`: processes on this machine, in the background, one point
    after the other; `debug`: all in the calling process."""
    signal_delay: Annotated[StrictInt, Field(ge=1, le=65535)] = 120
    """Seconds before the end of its time at which a job is warned, to write its checkpoint."""
    array_parallelism: Annotated[StrictInt, Field(ge=0)] = 0
    """How many points may run at once; 0 for as many as the cluster lets."""
    modules: tuple[Line, ...] = ()
    """Environment modules that are loaded first (`module load`)."""
    environment: Mapping[Variable, Line] = Field(default={})
    """Variables that are set in the job."""
    setup: tuple[Line, ...] = ()
    """Lines of shell that run before the processes start, after the modules are loaded."""
    python: Line | None = None
    """The command that starts Python in a job, such as `singularity exec --nv image.sif python`;
    the interpreter that submits if left out."""
    container_image: Line | None = None
    """An image for `srun --container-image` (pyxis); name its `python`, too."""
    srun: tuple[Line, ...] = ()
    """More options of `srun`."""
    sbatch: Mapping[Option, Line | Literal[True]] = Field(default={})
    """More options of `sbatch`, without the dashes: `hint: nomultithread`, or `exclusive: true`."""
    mail_user: Line | None = None
    """Where Slurm writes to."""
    mail_type: tuple[Mail, ...] = ()
    """When it does: `END`, `FAIL`, ..."""
    retries: Annotated[StrictInt, Field(ge=0)] = 3
    """How often a job that has failed starts again: one of which a process was killed, ran out of
    memory, or raised an error. A warning, a preemption and a broken node do not count."""
    backoff: Annotated[StrictInt, Field(ge=0)] = 30
    """Seconds that it waits after the first failure; twice as many after the second, and so on."""
    evaluation: Resources | None = None
    """What the job asks for that measures the trained encoder, in one process; if left out, as the
    training, on one node and at most one GPU."""

    @model_validator(mode="after")
    def _fits(self) -> Profile:
        if self.executor == "slurm" and self.signal_delay >= 60 * self.minutes:
            message = f"signal_delay: must be less than the time limit of {60 * self.minutes} s"
            raise PydanticCustomError("signal", f"{message}, got {self.signal_delay}")
        if self.executor != "slurm":
            self._without_slurm()
        if self.mail_type and not self.mail_user:
            raise PydanticCustomError("mail", "mail_type: needs mail_user, an address")
        ours = [name for name in self.sbatch if name in OURS]
        if ours:
            raise PydanticCustomError(
                "sbatch", f"sbatch: {ours[0]!r} is set by the launcher itself"
            )
        if self.evaluation is not None and self.evaluation.tasks > 1:
            message = "evaluation: is done in one process, and asks for"
            raise PydanticCustomError("evaluation", f"{message} {self.evaluation.tasks}")
        return self

    def _without_slurm(self) -> None:
        """Refuses what only a cluster can do."""
        names = ("partition", "account", "qos", "constraint", "reservation", "nodelist", "exclude")
        more = ("modules", "container_image", "srun", "sbatch", "mail_user", "evaluation")
        given = [name for name in (*names, *more) if getattr(self, name)]
        if self.nodes > 1:
            given.append("nodes")
        if given:
            message = f"{given[0]}: of no use with `executor: {self.executor}`"
            raise PydanticCustomError("executor", message)

    def for_evaluation(self) -> Profile:
        """The profile of the job that measures: one process, with a GPU if the training has any."""
        if self.evaluation is not None:
            asked = {name: getattr(self.evaluation, name) for name in Resources.model_fields}
        else:
            asked = {"nodes": 1, "tasks_per_node": 1, "gpus_per_node": min(1, self.gpus_per_node)}
        return self.model_copy(update=asked)

    def document(self) -> dict[str, Any]:
        """The profile as plain data that reads back as itself."""
        return self.model_dump(mode="json", exclude_defaults=True)

"""What a person says of the machines that jobs run on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

from slurm.faults import Fault, refuse
from slurm.fields import (
    FIELDS,
    OURS,
    Count,
    Line,
    Mail,
    Memory,
    Option,
    Setting,
    Time,
    Variable,
    minutes,
)

ONLY_SLURM = (
    *("partition", "account", "qos", "constraint", "reservation", "nodelist", "exclude"),
    *("nodes", "gpu_type", "memory", "memory_per_cpu", "memory_per_gpu", "array_parallelism"),
    *("modules", "container_image", "srun", "sbatch", "mail_user", "mail_type", "evaluation"),
)
"""Fields that mean nothing without a cluster."""

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
    """Nodes of which it must get all, no more than `nodes`."""
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
    """Memory on each node, such as `32GB`; `"0"` for all that it has."""
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
        return minutes(self.time)

    @property
    def processes(self) -> int:
        """Processes on each node."""
        return self.tasks_per_node or self.gpus_per_node or 1

    @property
    def tasks(self) -> int:
        """Processes on all nodes together."""
        return self.nodes * self.processes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        """What does not go together, each mistake at the field that has to change."""
        gpus, processes = self.gpus_per_node, self.tasks_per_node
        if gpus and processes not in (None, gpus):
            message = f"must be gpus_per_node ({gpus}), since each GPU has one process"
            yield Fault(("tasks_per_node",), f"{message}, got {processes}")
        for name in ("gpu_type", "memory_per_gpu"):
            if not gpus and getattr(self, name):
                message = f"of no use with gpus_per_node 0, got {getattr(self, name)!r}"
                yield Fault((name,), message)
        if gpus and self.gpu_type and self.gpu_request == "none":
            message = f"of no use with gpu_request 'none', got {self.gpu_type!r}"
            yield Fault(("gpu_type",), message)
        memories = ("memory", "memory_per_cpu", "memory_per_gpu")
        given = [name for name in memories if getattr(self, name)]
        for name in given[1:]:
            message = f"of no use beside {given[0]} ({getattr(self, given[0])!r})"
            message += f": ask for one of {', '.join(memories)}"
            yield Fault((name,), f"{message}, got {getattr(self, name)!r}")


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
    sbatch: Mapping[Option, Setting] = Field(default={})
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

    def _faults(self) -> Iterator[Fault]:
        yield from super()._faults()
        if self.executor == "slurm":
            yield from self._late_warnings()
        else:
            yield from self._needless()
        if self.mail_type and not self.mail_user:
            message = f"needs mail_user, an address, got {list(self.mail_type)}"
            yield Fault(("mail_type",), message)
        yield from self._options_twice()
        if self.evaluation is not None:
            for name in ("nodes", "tasks_per_node", "gpus_per_node"):
                if (asked := getattr(self.evaluation, name) or 1) > 1:
                    message = f"must be 1, since one process evaluates, got {asked}"
                    yield Fault(("evaluation", name), message)

    def _late_warnings(self) -> Iterator[Fault]:
        """Jobs that would be warned of their end as they begin."""
        delay, limit = self.signal_delay, 60 * self.minutes
        if delay >= limit and "signal_delay" in self.model_fields_set:
            message = f"must be less than the time limit ({limit} s, of {self.time!r}), got {delay}"
            yield Fault(("signal_delay",), message)
        elif delay >= limit:
            yield Fault(("time",), f"must be more than signal_delay ({delay} s), got {self.time!r}")
        if self.evaluation is not None and delay >= 60 * self.evaluation.minutes:
            message = f"must be more than signal_delay ({delay} s), got {self.evaluation.time!r}"
            yield Fault(("evaluation", "time"), message)

    def _needless(self) -> Iterator[Fault]:
        """What only a cluster can do."""
        for name in ONLY_SLURM:
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                message = f"of no use with `executor: {self.executor}`"
                plain = isinstance(value, str | int)
                yield Fault((name,), f"{message}, got {value!r}" if plain else message)

    def _options_twice(self) -> Iterator[Fault]:
        """Options of sbatch that the script has anyway."""
        gpus = self.gpu_request.replace("_", "-") if self.gpus_per_node else None
        for name in self.sbatch:
            if name in OURS:
                yield Fault(("sbatch", name), f"{name!r} is set by the launcher itself")
            elif name in FIELDS:
                message = f"{name!r} has a field of its own: {FIELDS[name]}"
                yield Fault(("sbatch", name), message)
            elif name == gpus:
                message = f"{name!r} asks for gpus_per_node ({self.gpus_per_node}) already"
                message += "; gpu_request 'none' leaves it to you"
                yield Fault(("sbatch", name), message)

    def for_evaluation(self) -> Profile:
        """The profile of the job that measures: one process, with a GPU if the training has any."""
        if self.evaluation is not None:
            asked = {name: getattr(self.evaluation, name) for name in Resources.model_fields}
        else:
            asked = {"nodes": 1, "tasks_per_node": 1, "gpus_per_node": min(1, self.gpus_per_node)}
            if self.nodes > 1:
                asked["nodelist"] = None  # it may list more nodes than the one
        return self.model_copy(update=asked)

    def document(self) -> dict[str, Any]:
        """The profile as plain data that reads back as itself."""
        return self.model_dump(mode="json", exclude_defaults=True)

"""The values that fields of a profile take."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

TIME = re.compile(
    r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>[0-5]?\d))?(?::(?P<third>[0-5]?\d))?"
)
MEMORY = re.compile(r"0|[1-9]\d*[KMGT]?B?")


def minutes(time: str) -> int:
    """A time as Slurm writes it, in minutes, rounded up."""
    found = TIME.fullmatch(time)
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


def _one_line(text: str) -> str:
    """A value of an option, which must not begin another line of the script."""
    if re.search(r"[\r\n\0]", text):
        raise PydanticCustomError("line", "must be one line")
    if not text.strip():
        raise PydanticCustomError("empty", "must not be empty: leave the field out")
    return text


def _shown(value: Any) -> str:
    """A value as a document has it."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else repr(value)


def _time(value: Any) -> Any:
    # `time: 90` is a number in YAML, of which nobody sees whether it is minutes or hours
    if not isinstance(value, str) or not TIME.fullmatch(value) or minutes(value) == 0:
        form = "a time in quotes, such as" if isinstance(value, int | float) else "a time such as"
        message = f"must be {form} '20:00:00' or '2-00:00:00', got {_shown(value)}"
        raise PydanticCustomError("time", message)  # type: ignore[arg-type]
    return value


def _memory(value: Any) -> Any:
    if not isinstance(value, str) or not MEMORY.fullmatch(value):
        message = f"must be a size such as '32GB' or '4000MB', got {_shown(value)}"
        raise PydanticCustomError("memory", message)  # type: ignore[arg-type]
    return value


def _setting(value: Any) -> Any:
    if not isinstance(value, str) and value is not True:
        message = "must be text in quotes, or true for an option without a value, got"
        raise PydanticCustomError("setting", f"{message} {_shown(value)}")  # type: ignore[arg-type]
    return value


def _schema(pattern: re.Pattern[str], words: str) -> WithJsonSchema:
    """What editors check: the same pattern, without the names of its groups, or a `$name`."""
    plain = re.sub(r"\?P<\w+>", "?:", pattern.pattern)
    return WithJsonSchema(
        {"type": "string", "pattern": rf"^(?:{plain}|\$.+)$", "patternErrorMessage": words}
    )


Line = Annotated[StrictStr, AfterValidator(_one_line)]
Time = Annotated[
    StrictStr, BeforeValidator(_time), _schema(TIME, 'must be a time such as "20:00:00"')
]
Memory = Annotated[
    StrictStr, BeforeValidator(_memory), _schema(MEMORY, "must be a size such as 32GB")
]
Setting = Annotated[Line | Literal[True], BeforeValidator(_setting)]
Mail = Literal[
    "NONE",
    "BEGIN",
    "END",
    "FAIL",
    "REQUEUE",
    "ALL",
    "INVALID_DEPEND",
    "STAGE_OUT",
    "TIME_LIMIT",
    "TIME_LIMIT_90",
    "TIME_LIMIT_80",
    "TIME_LIMIT_50",
    "ARRAY_TASKS",
]
Variable = Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Option = Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9-]*$")]
Count = Annotated[StrictInt, Field(ge=1)]

OURS = (
    "array",
    "comment",
    "dependency",
    "error",
    "job-name",
    "kill-on-invalid-dep",
    "no-requeue",
    "open-mode",
    "output",
    "requeue",
    "signal",
)
"""Options of sbatch that the launcher sets itself."""

FIELDS = {
    "account": "account",
    "constraint": "constraint",
    "cpus-per-task": "cpus_per_task",
    "exclude": "exclude",
    "mail-type": "mail_type",
    "mail-user": "mail_user",
    "mem": "memory",
    "mem-per-cpu": "memory_per_cpu",
    "mem-per-gpu": "memory_per_gpu",
    "nodelist": "nodelist",
    "nodes": "nodes",
    "ntasks": "tasks_per_node",
    "ntasks-per-node": "tasks_per_node",
    "partition": "partition",
    "qos": "qos",
    "reservation": "reservation",
    "time": "time",
}
"""Options of sbatch for which a profile has a field; given twice, one would hide the other."""

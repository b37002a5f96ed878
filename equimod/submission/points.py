"""Seeds and sweeps, spelled out: the points of a submission, each with a folder of its own."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from augspec import DocumentModel, parse_source, write_atomically

SEED = "seed"
"""The path of a run document that seeds are written to."""

FILE = "points.json"
"""What lists the points, in the folder of their submission."""

MOST = 10_000
"""Points that one submission may have."""

HIGHEST_SEED = 2**32 - 1
LONGEST_VALUE, LONGEST_NAME = 48, 160
"""Characters that a value and a whole name keep; a folder's name may have 255 bytes."""

_RANGE = re.compile(r"(?P<first>\d{1,10})(?:\s*-\s*(?P<last>\d{1,10}))?")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+-]+|^$")
_PATH = re.compile(r'(?P<path>(?:"[^"]*"|[^"=])*)=(?P<values>.*)', re.DOTALL)


class PointsError(ValueError):
    """Seeds or sweeps that cannot be spelled out, or a list of points that cannot be read."""


@dataclass(frozen=True)
class Point:
    """One run of a submission.

    Attributes:
        name: of its folder below the submission's; empty where the submission is one run.
        overrides: the assignments, such as `training.epochs=5`, that make it from the run document.
        values: what is assigned, by path.
    """

    name: Annotated[str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.+=,-]*)?$")]
    overrides: tuple[str, ...]
    values: Mapping[str, Any] = field(hash=False)


class _Points(DocumentModel):
    """The file that lists points."""

    version: Literal[1] = 1
    points: tuple[Point, ...]


@dataclass(frozen=True)
class _Choice:
    """One value of one path: as it was written, and as data."""

    path: str
    text: str
    value: Any

    @property
    def override(self) -> str:
        return f"{self.path}={self.text}"

    @property
    def label(self) -> str:
        """Its part of a point's name, with a hash where the value cannot be shown as it is."""
        return f"{_slug(self.path).lstrip('-.')}={_slug(self.text)}"


def expand(seeds: str | None, sweeps: Sequence[str]) -> tuple[Point, ...]:
    """All combinations of the values of the sweeps and the seeds.

    Args:
        seeds: numbers and ranges with both ends, such as `0-4` or `0,3,7-9`.
        sweeps: a path and its values each, such as `training.epochs=5,10`, in YAML. A comma within
            brackets, braces or quotes does not end a value.

    Returns:
        The first sweep's values in the outermost loop, the seeds in the innermost; one point
        without a name where there is neither.

    Raises:
        PointsError: a value or a path stands there twice or not at all, a range is backwards, or
            there are too many points.
        SpecError: a sweep's values are not YAML.
    """
    axes = [_sweep(text) for text in sweeps]
    if seeds is not None:
        axes.append(_seeds(seeds))
    _check_paths([axis[0].path for axis in axes], seeds is not None)
    count = math.prod(map(len, axes))
    if count > MOST:
        sizes = " x ".join(str(len(axis)) for axis in axes)
        raise PointsError(f"{sizes} values make {count:,} points, more than {MOST:,}")
    return _named([_point(choices) for choices in itertools.product(*axes)])


def write_points(root: Path, points: Sequence[Point]) -> Path:
    """Lists points in the folder of their submission, atomically.

    Raises:
        OSError: the file cannot be written.
    """
    document = _Points(points=tuple(points)).model_dump()
    return write_atomically(root / FILE, json.dumps(document, indent=2) + "\n")


def read_points(root: Path) -> tuple[Point, ...]:
    """Reads back what `write_points` wrote.

    Raises:
        PointsError: the file is missing, damaged or of another version.
    """
    path = root / FILE
    try:
        points = _Points.model_validate_json(path.read_bytes()).points
    except FileNotFoundError:
        raise PointsError(f"{root} holds no seeds or sweep: it has no {FILE}") from None
    except OSError as error:
        raise PointsError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the document"
        raise PointsError(f"{path} is damaged: {place}: {first['msg']}") from None
    if len({point.name for point in points}) < len(points):
        raise PointsError(f"{path} is damaged: two points have the same name")
    return points


def _seeds(text: str) -> list[_Choice]:
    found: dict[int, None] = {}
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            what = f"not {part.strip()!r}" if part.strip() else "but one is empty"
            raise PointsError(f"--seeds {text}: must be numbers and ranges such as 0,3,7-9, {what}")
        first, last = int(match["first"]), int(match["last"] or match["first"])
        if last < first:
            message = f"the range {part.strip()!r} is backwards; did you mean '{last}-{first}'?"
            raise PointsError(f"--seeds {text}: {message}")
        if last > HIGHEST_SEED:
            raise PointsError(f"--seeds {text}: a seed is at most {HIGHEST_SEED}, got {last}")
        if last - first >= MOST:
            raise PointsError(f"--seeds {text}: {part.strip()!r} are more than {MOST:,} seeds")
        for seed in range(first, last + 1):
            if seed in found:
                raise PointsError(f"--seeds {text}: seed {seed} stands there twice")
            found[seed] = None
    return [_Choice(SEED, str(seed), seed) for seed in found]


def _sweep(text: str) -> list[_Choice]:
    match = _PATH.fullmatch(text)
    path = match["path"].strip() if match else ""
    if match is None or not path:
        form = "must have the form path=value,value, such as training.epochs=5,10"
        raise PointsError(f"--sweep {text}: {form}")
    if not match["values"].strip():
        raise PointsError(f"--sweep {text}: no value follows the '='")
    choices = [_Choice(path, part, value) for part, value in _values(path, match["values"])]
    seen: dict[str, _Choice] = {}
    for choice in choices:
        other = seen.setdefault(_canonical(choice.value), choice)
        if other is not choice:
            same = "" if other.text == choice.text else f" (as {other.text} and {choice.text})"
            raise PointsError(f"--sweep {text}: {choice.text} stands there twice{same}")
    return choices


def _values(path: str, text: str) -> Iterator[tuple[str, Any]]:
    """The values between the commas, each as it was written and as data."""
    head, text = f"{path}=", text.strip()
    # a list without its brackets: the parser of YAML knows which commas separate
    source = parse_source(f"{head}[{text}]", "--sweep", start=len(head))
    starts = [source.at((k,)).column - len(head) - 2 for k in range(len(source.data))]
    ends = [*starts[1:], len(text)]
    if text.endswith(","):
        raise PointsError(f"--sweep {path}={text}: no value follows the last comma")
    for value, start, end in zip(source.data, starts, ends, strict=True):
        written = text[start:end].strip()
        yield (written if end == len(text) else written.removesuffix(",").rstrip()), value


def _check_paths(paths: Sequence[str], seeded: bool) -> None:
    """That no sweep undoes another one, assignments being made in this order."""
    for k, path in enumerate(paths):
        for earlier in paths[:k]:
            if path == earlier == SEED and seeded:
                raise PointsError("seeds are given twice: by --seeds and by --sweep seed=...")
            if path == earlier:
                raise PointsError(f"--sweep {path}=... is given twice: list all values in one")
            if earlier.startswith(f"{path}."):
                message = f"--sweep {path}=... would overwrite what --sweep {earlier}=... sets"
                raise PointsError(f"{message}: give it first")


def _point(choices: Sequence[_Choice]) -> Point:
    name = ",".join(choice.label for choice in choices)
    overrides = tuple(choice.override for choice in choices)
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{_hash(overrides)}"
    return Point(name, overrides, {choice.path: choice.value for choice in choices})


def _named(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points, with hashes in their names if some would share a folder without."""
    # some file systems do not tell capitals
    if len({point.name.casefold() for point in points}) == len(points):
        return tuple(points)
    return tuple(replace(p, name=f"{p.name}-{_hash(p.overrides, 16)}") for p in points)


def _slug(text: str) -> str:
    """The text where a folder's name can hold it; otherwise what is readable of it, and a hash."""
    if len(text) <= LONGEST_VALUE and not _UNSAFE.search(text):
        return text
    plain = _UNSAFE.sub("-", text).strip("-.")
    return f"{plain[: LONGEST_VALUE // 2].strip('-.')}-{_hash(text)}".lstrip("-")


def _hash(what: Any, digits: int = 8) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:digits]


def _canonical(value: Any) -> str:
    """The value as text that is equal where the values are: 1 and 1.0, but not 1 and true."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

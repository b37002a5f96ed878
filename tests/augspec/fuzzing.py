"""Loads thousands of mutated specs and reports what went wrong; run by `test_fuzz.py`.

    python tests/augspec/fuzzing.py structure|bytes FIRST COUNT

Document number n of a kind is the same in every run: `show structure 1234` prints it. One JSON
object comes out. The process limits its own memory, so that a document that takes more than is
allowed fails with a MemoryError, and takes the processor time of each document.
"""

from __future__ import annotations

import copy
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import augspec
from augspec import Spec, SpecError
from augspec.ops import OPS

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 200_000_000
MOST_SECONDS = 1.0
GIVE_UP = 5.0
"""After how many seconds of processor time a document is given up."""

LONGEST = 100_000
"""No document is longer, in bytes: an honest one of that length takes a third of a second."""

LINE_BREAK = re.compile(r"\r\n|\r|\n")

RECIPES = [p.read_text("utf-8") for p in sorted((ROOT / "specs" / "augmentations").glob("*.yaml"))]
BROKEN = [
    p.read_text("utf-8")
    for p in sorted((ROOT / "tests" / "augspec" / "broken").iterdir())
    if p.suffix in (".yaml", ".json")
]
FIXED = {
    "parent.yaml": RECIPES[0],
    "child.yaml": "version: 1\nextends: parent.yaml\nviews: {first: {ops: {grayscale: null}}}\n",
    "loop_a.yaml": "version: 1\nextends: loop_b.yaml\n",
    "loop_b.yaml": "version: 1\nextends: loop_a.yaml\n",
    "list.yaml": "[1, 2]\n",
    "tab.yaml": "version: 1\nviews:\n\tfirst: {}\n",
}
"""Files that documents may extend."""

NAMES = sorted({"op", "id", "share", "p", *(f for op in OPS.values() for f in op.model_fields)})
HABITS = ["transforms", "prob", "scale", "ratio", "type", "kernel_size", "P", "ops ", "<<", ""]
TOP = ["version", "name", "description", "image", "normalize", "differentiable", "meta", "views"]
TOP += ["extends", "let", "count", "like", "redraw", "size", "channels", "mean", "std"]
NESTS = ["one_of", "some_of", "sequence", "maybe", "random_order", "mix", "repeat"]
ODD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        0.5,
        -0.5,
        1e-3,
        1e308,
        -1e308,
        10**30,
        10**350,
        10**500,
        2**63,
    ),
    *("", "yes", "NO", "on", "0.5", "1e-3", "1_000", "0x1F", "~", "null", "a", "first", "views"),
    *(
        "$a",
        "$$a",
        "$",
        "*a",
        "&a",
        "!!str",
        "#",
        ": ",
        "- ",
        "é",
        "日本語",
        "🙂",
        "\u202e",
        "e\u0301",
    ),
    *("a" * 5000, "%s %d {0}", "\\", '"', "'", "\n", "\t", "\x7f", "\ufeff", "\u2028", "../x.yaml"),
    *([], {}, [[]], [{}], [1, 2], [2, 1], [1, 2, 3], [0.2, 0.8], ["a", "b"], {"a": 1}, [None]),
    {"choice": [1, 2]},
    {"choice": [0.1, 0.5], "weights": [1, 0]},
    {"choice": []},
    {"log_uniform": [0.5, 2]},
    {"log_uniform": [0, 0]},
    {"normal": {"mean": 0.5, "std": 0.1, "low": 0.2, "high": 0.9}},
    {"normal": {"mean": 0, "std": 1e-300, "low": -1e300, "high": 1e300}},
    {"beta": {"alpha": 2, "beta": 5, "low": 0.1, "high": 0.9}},
    {"linspace": [0, 1, 10**9]},
    {"uniform": [0, 1]},
    {"views": True, "samples": 2},
]
EXTREMES: list[Any] = [
    *([1e308, 1e308], [1e-308, 1e308], [-1e308, 1e308], [0.1, 1e308], 1e-308, [0, 5e-324], 1e9),
    {"log_uniform": [1e-308, 1e308]},
    {"choice": [1e308, -1e308]},
    {"choice": [0.5], "weights": [5e-324]},
    {"normal": {"mean": 1e308, "std": 1e308, "low": 1e307, "high": 1.7e308}},
    {"beta": {"alpha": 1, "beta": 1, "low": 0, "high": 1e308}},
    {"linspace": [0, 1e308, 3]},
]
"""Numbers at the ends of what a float64 holds."""


def odd(rng: random.Random) -> Any:
    """A value that may not suit; a copy, since documents are changed in place."""
    return copy.deepcopy(rng.choice(ODD))


def structured(rng: random.Random) -> bytes:
    """A recipe or a generated spec, changed as data and then as lines of text."""
    if rng.random() < 0.03:
        return bomb(rng).encode()
    if rng.random() < 0.25:
        return one_field(rng).encode()
    recipe = rng.random() < 0.3
    data = augspec.parse_source(rng.choice(RECIPES)).data if recipe else generated(rng)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3, 5])):
        data = mutated(rng, data)
    text = written(rng, data)
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        text = relined(rng, text)
    return text.encode("utf-8", "surrogatepass")


def generated(rng: random.Random) -> dict[str, Any]:
    """A spec, mostly a valid one, with random ops from their own examples."""
    names = ["original", "first", "second", "local"][: rng.randint(1, 4)]
    views: dict[str, Any] = {
        name: {"ops": [any_op(rng, 0) for _ in range(rng.randint(0, 3))]} for name in names
    }
    spec: dict[str, Any] = {"version": 1, "name": "t", "views": views}
    if rng.random() < 0.3:
        spec["image"] = {"size": rng.choice([32, 224, [32, 48], 1])}
    if rng.random() < 0.3:
        spec["normalize"] = {"mean": [0.5] * 3, "std": [0.25] * 3}
    if rng.random() < 0.2 and len(names) > 1:
        views[names[-1]] = {"like": names[0], "count": rng.choice([1, 2, 64])}
    if rng.random() < 0.2:
        spec["let"] = {"a": odd(rng), "b": "$a", "c": {"p": "$a"}}
        spec["meta"] = {"x": "$a"}
    if rng.random() < 0.1:
        spec["extends"] = rng.choice([*FIXED, "missing.yaml", "../up.yaml", "/etc/hosts", ".", 3])
    return spec


def one_field(rng: random.Random) -> str:
    """An op with one of its fields set to something odd."""
    tag = rng.choice(list(OPS))
    value = rng.choice([odd(rng), [odd(rng), odd(rng)], rng.choice(EXTREMES)])
    op = {"op": tag, rng.choice(list(OPS[tag].model_fields)): value}
    known = {"image": {"size": rng.choice([32, [1, 100_000]])}} if rng.random() < 0.5 else {}
    spec = {"version": 1, "name": "t", **known, "views": {"first": {"ops": [op]}}}
    return json.dumps(spec, ensure_ascii=False)


def any_op(rng: random.Random, depth: int) -> dict[str, Any]:
    """An op as one of its examples writes it, now and then inside another."""
    if depth < 3 and rng.random() < 0.15:
        ops = [any_op(rng, depth + 1) for _ in range(rng.randint(0, 3))]
        return {"op": rng.choice(NESTS), "ops": ops}
    tag = rng.choice(list(OPS))
    return {"op": tag, **json.loads(json.dumps(rng.choice([{}, *OPS[tag].examples])))}


def paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path of a document but the root's."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*path, key))


def mutated(rng: random.Random, data: Any) -> Any:
    """The document with one thing about it changed."""
    places = list(paths(data)) if isinstance(data, dict | list) else []
    if not places or rng.random() < 0.01:
        return odd(rng)
    *way, last = rng.choice(places)
    holder = data
    for key in way:
        holder = holder[key]
    value = holder[last]
    match rng.randrange(12):
        case 0:
            del holder[last]
        case 1 if isinstance(holder, dict):
            holder[renamed(rng, str(last))] = holder.pop(last)
        case 2 if isinstance(holder, list):
            holder.extend([value] * rng.choice([1, 1, 1, 2, 30, 300]))
        case 3:
            other = rng.choice(places)
            source = data
            for key in other:
                source = source[key]
            holder[last] = json.loads(json.dumps(source))
        case 4:
            holder[last] = nested(rng, value)
        case 5 if isinstance(value, int | float) and not isinstance(value, bool):
            factor = rng.choice([-1, 0, 1.5, 10, 255, 1e6, 1e30])
            holder[last] = value * factor if abs(value) < 1e100 else value
        case 6 if isinstance(holder, dict):
            holder[rng.choice([*NAMES, *TOP])] = odd(rng)
        case 7 if isinstance(value, list):
            value.insert(rng.randint(0, len(value)), any_op(rng, 0))
        case 8:
            holder[last] = "$" + rng.choice(["a", "b", "c", "d", "a.b", "1"])
        case 9 if isinstance(data, dict):
            data[rng.choice(TOP)] = odd(rng)
        case _:
            holder[last] = odd(rng)
    return data


def renamed(rng: random.Random, name: str) -> str:
    """Another name, or this one misspelt."""
    if rng.random() < 0.5 or len(name) < 2:
        return rng.choice([*NAMES, *TOP, *HABITS, *OPS, "é", "x" * 3000])
    at = rng.randrange(len(name) - 1)
    swapped = name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    return rng.choice([swapped, name[:at] + name[at + 1 :], name + "s", name.upper()])


def nested(rng: random.Random, value: Any) -> Any:
    """The value inside many lists, mappings or ops."""
    depth, kind = rng.choice([1, 2, 5, 30, 90, 120]), rng.randrange(4)
    for level in range(depth):
        if kind == 0:
            value = [value]
        elif kind == 1:
            value = {rng.choice(["a", "ops", "views"]): value}
        else:
            inner = value if level or kind == 2 else any_op(rng, 3)
            value = {"op": rng.choice(NESTS), "ops": [inner]}
    return value


def bomb(rng: random.Random) -> str:
    """A document that would be huge if its aliases, or its names, were written out."""
    width, levels = rng.choice([2, 10, 50]), rng.choice([3, 6, 20, 60])
    start = rng.choice(["1", "{op: grayscale}", "[]", "{op: one_of, ops: []}"])
    if rng.random() < 0.5:
        lines = [f"  a0: &a0 [{start}]"]
        lines += [f"  a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * width)}]" for k in range(1, levels)]
        where, last = rng.choice(["meta", "views", "let"]), f"*a{levels - 1}"
    else:
        lines = [f"  a0: [{start}]"]
        lines += [f"  a{k}: [{', '.join([f'$a{k - 1}'] * width)}]" for k in range(1, levels)]
        where, last = "let", f"$a{levels - 1}"
    text = f"version: 1\nname: t\n{where}:\n" + "\n".join(lines) + "\n"
    return text if where == "views" else text + f"views: {{first: {{ops: {last}}}}}\n"


def written(rng: random.Random, data: Any) -> str:
    """The document as JSON or as block YAML."""
    if rng.random() < 0.5 or not isinstance(data, dict):
        return json.dumps(data, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1]))
    return "".join(f"{line}\n" for line in block(data, 0, rng.choice([1, 2, 4])))


def block(data: Any, depth: int, step: int) -> Iterator[str]:
    """The lines of a mapping or list, short ones in braces."""
    pad = " " * (step * depth)
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        head = f"{pad}{scalar(key)}:" if isinstance(data, dict) else f"{pad}-"
        if depth < 4 and isinstance(value, dict | list) and value:
            yield head
            yield from block(value, depth + 1, step)
        else:
            yield f"{head} {scalar(value)}"


def scalar(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z$*&][A-Za-z0-9_ ]*", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def relined(rng: random.Random, text: str) -> str:
    """The text with one line changed."""
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    line = lines[at]
    match rng.randrange(9):
        case 0:
            lines[at] = line.replace("  ", "\t", 1)
        case 1:
            lines[at] = " " + line
        case 2:
            lines.insert(at, line)
        case 3:
            lines[at] = line.lstrip()
        case 4:
            lines[at] = line.replace(rng.choice([":", '"', "{", "}", "[", "]", ","]), "", 1)
        case 5:
            extra = ["---", "...", "%YAML 1.1", "<<: *a", "? [a]", "!!python/object:os.system x"]
            lines.insert(at, rng.choice([*extra, "&a [*a]", "*b", "- |", "x: >", '"', "[" * 3000]))
        case 6:
            lines[at] = line.replace(": ", rng.choice([": &a ", ": *a", ": !x ", ":", ": |\n"]), 1)
        case 7:
            cut = rng.randint(0, len(line))
            lines[at] = line[:cut] + rng.choice(["\u2028", "\x85", "\x00", "\ud800", "\r", "\xa0"])
        case _:
            lines = lines[:at]
    return "\n".join(lines)


SPECIAL = [b"\xef\xbb\xbf", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\r"]
SPECIAL += [b"\t", b"\n", b"\x1b[31m", b": ", b"- ", b"{", b"}", b"&a ", b"*a", b"!!", b"\xf4\x90"]


def mangled(rng: random.Random) -> bytes:
    """Bytes of a recipe, a broken spec or a generated one, a few of them changed."""

    def base() -> bytes:
        if rng.random() < 0.2:
            return written(rng, generated(rng)).encode("utf-8", "surrogatepass")
        return rng.choice(RECIPES if rng.random() < 0.5 else BROKEN).encode()

    content = bytearray(base())
    for _ in range(rng.choice([1, 1, 1, 1, 2, 2, 4, 8, 30])):
        at = rng.randint(0, len(content))
        match rng.randrange(7):
            case 0 if at < len(content):
                content[at] ^= 1 << rng.randrange(8)
            case 1:
                content[at:at] = rng.randbytes(rng.randint(1, 4))
            case 2:
                del content[at : at + rng.choice([1, 1, 2, 8, 40])]
            case 3:
                del content[at:]
            case 4:
                other = base()
                start = rng.randint(0, len(other))
                content[at:] = other[start:]
            case 5:
                part = content[at : at + rng.choice([1, 10, 100])]
                content[at:at] = part * rng.choice([1, 3, 50])
            case _:
                content[at:at] = rng.choice(SPECIAL)
    return bytes(content)


MAKERS: dict[str, Callable[[random.Random], bytes]] = {"structure": structured, "bytes": mangled}


def document(kind: str, number: int) -> bytes:
    """Document number `number` of this kind."""
    return MAKERS[kind](random.Random(f"{kind} {number}"))[:LONGEST]


def check(path: Path, content: bytes) -> tuple[bool, str, float]:
    """Loads one document.

    Returns:
        Whether it is valid; what is wrong with how it was treated, or an empty string; and the
        seconds of processor time that reading it took, its error text included.
    """
    path.write_bytes(content)
    signal.setitimer(signal.ITIMER_PROF, GIVE_UP)
    try:
        return _checked(path, content)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _checked(path: Path, content: bytes) -> tuple[bool, str, float]:
    start = time.process_time()
    try:
        spec = augspec.load(path)
    except SpecError as error:
        str(error)
        seconds = time.process_time() - start
        return False, misplaced(error, path, content), seconds
    except BaseException:
        return False, crash(), time.process_time() - start
    seconds = time.process_time() - start
    try:
        document = spec.document()
        if Spec.model_validate(document).document() != document:
            return True, "the spec reads back as another one", seconds
        augspec.make_plan(spec)
    except BaseException:
        return True, "valid, and then " + crash(), seconds
    return True, "", seconds


def crash() -> str:
    """The last lines of the traceback of what is being handled, and what was raised."""
    lines = traceback.format_exc().splitlines()
    return "\n".join(line[:300] for line in lines[-12:])


def misplaced(error: SpecError, path: Path, content: bytes) -> str:
    """What is wrong with the places of an error's mistakes."""
    own = content.decode("utf-8", "replace")
    if not error.diagnostics:
        return "an error without a mistake"
    for found in error.diagnostics:
        place = found.position
        if place is None:
            return f"no place: {found.message}"
        name = Path(place.file).name
        if name != path.name and name not in FIXED:
            return f"a place in a file that was not read: {place}"
        lines = LINE_BREAK.split(FIXED.get(name, own))
        if not 1 <= place.line <= len(lines):
            return f"a line that is not there: {place} {found.message}"
        if not 1 <= place.column <= len(lines[place.line - 1]) + 1:
            return f"a column that is not there: {place} {found.message}"
        if not found.message or found.span < 1:
            return f"nothing said or marked: {place} {found.message}"
    return ""


def give_up(*_: object) -> None:
    """Ends a document that takes too long, with a traceback that shows where."""
    raise TimeoutError(f"given up after {GIVE_UP} s")


def prepare() -> None:
    """Takes a folder to work in, reads what is read once, and limits memory and time."""
    os.chdir(tempfile.mkdtemp(prefix="augspec-fuzz-"))
    for name, text in FIXED.items():
        Path(name).write_text(text, encoding="utf-8")
    signal.signal(signal.SIGPROF, give_up)
    for text in [*RECIPES, *BROKEN]:
        check(Path("spec.yaml"), text.encode())
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, resource.RLIM_INFINITY))


def run(documents: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    """Checks documents, each with what it is called."""
    failures: list[str] = []
    checked, valid, slowest, total, before = 0, 0, (0.0, ""), 0.0, peak()
    for name, content in documents:
        right, problem, seconds = check(Path("spec.yaml"), content)
        checked += 1
        valid += right
        total += seconds
        slowest = max(slowest, (seconds, name))
        if not problem and seconds > MOST_SECONDS:
            problem = f"it took {seconds:.2f} s"
        if problem and len(failures) < 5:
            failures.append(f"{name}: {problem}\n{content[:600]!r}")
    return {
        "documents": checked,
        "valid": valid,
        "seconds": round(total, 2),
        "slowest": slowest,
        "bytes": peak() - before,
        "failures": failures,
    }


def numbered(kind: str, first: int, count: int) -> Iterator[tuple[str, bytes]]:
    """`count` documents of this kind, from number `first` on."""
    for number in range(first, first + count):
        yield f"{kind} {number}", document(kind, number)


def peak() -> int:
    """The most memory, in bytes, that the process has had at any time."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    if sys.argv[1] == "show":
        sys.stdout.buffer.write(document(sys.argv[2], int(sys.argv[3])))
    else:
        prepare()
        print(json.dumps(run(numbered(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))

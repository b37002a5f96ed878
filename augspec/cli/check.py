"""`augspec check`: every mistake of every file, for a person, a program or a code review."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from augspec.cli.common import Flag, Overrides, load_spec
from augspec.compiler.plan import Plan, make_plan
from augspec.language.diagnostics import Diagnostic, SpecError

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Checked:
    """One file with what was found.

    Attributes:
        file: the file.
        plan: what it compiles into; None where it has mistakes.
        diagnostics: its mistakes.
    """

    file: Path
    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...] = ()


def check(
    *paths: Path,
    format: Literal["text", "json", "github"] = "text",
    set_: Overrides = None,
    allow_outside: Flag = False,
) -> int:
    """Check specs, and print every mistake with its place.

    Args:
        paths: YAML or JSON files, and folders whose YAML and JSON files are checked.
        format: `text` for people; `json` for programs, one document; `github` for the annotations
            of a workflow on GitHub.
        set_: an assignment such as `views.first.ops.grayscale.p=0`; may be repeated.
        allow_outside: let specs extend files outside their own folders.
    """
    files = [file for path in paths for file in _files(path)]
    if not files:
        print("augspec check: no files to check", file=sys.stderr)
        return 2
    checked = (_checked(file, set_ or (), allow_outside) for file in files)
    if format == "json":
        found = list(checked)
        print(json.dumps({"files": [document(one) for one in found]}, indent=2, ensure_ascii=False))
        return 2 if any(one.plan is None for one in found) else 0
    status = 0
    for one in checked:  # each file's result is shown at once: a folder may be large
        if one.plan is not None:
            print(_good(one.file, one.plan))
        elif format == "github":
            print("\n".join(workflow_command(one.file, d) for d in one.diagnostics))
        else:
            print("\n".join(d.render() for d in one.diagnostics), file=sys.stderr)
        status = status if one.plan is not None else 2
    return status


def document(checked: Checked) -> dict[str, Any]:
    """What was found in one file, as plain data."""
    plan = checked.plan
    return {
        "file": str(checked.file),
        "ok": plan is not None,
        "name": plan.name if plan else None,
        "hash": plan.hash if plan else None,
        "columns": {view.name: view.layout.width for view in plan.views} if plan else None,
        "diagnostics": [_diagnostic(checked.file, d) for d in checked.diagnostics],
    }


def workflow_command(file: Path, diagnostic: Diagnostic) -> str:
    """The line of a workflow's log that makes GitHub show the mistake at its place."""
    found = _diagnostic(file, diagnostic)
    properties = {
        "file": found["file"],
        "line": found["line"],
        "col": found["column"],
        "endColumn": found["end_column"],
        "title": found["code"] or "augspec",
    }
    shown = ",".join(f"{k}={_escaped(v, ',:')}" for k, v in properties.items() if v is not None)
    return f"::error {shown}::{_escaped(diagnostic.message)}"


def _checked(file: Path, overrides: Sequence[str], allow_outside: bool) -> Checked:
    try:
        return Checked(file, make_plan(load_spec(file, overrides, allow_outside)))
    except SpecError as error:
        return Checked(file, None, error.diagnostics)


def _good(file: Path, plan: Plan) -> str:
    widths = ", ".join(f"{view.name} {view.layout.width}" for view in plan.views)
    return f"{file}: ok ({plan.name}; columns: {widths})"


def _diagnostic(file: Path, diagnostic: Diagnostic) -> dict[str, Any]:
    """One mistake as plain data; lines and columns count from 1, and `end_column` is exclusive."""
    place = diagnostic.position
    return {
        "file": place.file if place else str(file),
        "line": place.line if place else None,
        "column": place.column if place else None,
        "end_column": place.column + max(1, diagnostic.span) if place else None,
        "code": str(diagnostic.code) if diagnostic.code else None,
        "severity": "error",
        "message": diagnostic.message,
    }


def _escaped(value: Any, more: str = "") -> str:
    """Text as GitHub's workflow commands want it; `more` are further characters to escape."""
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{more}" else c for c in str(value))


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    yield from sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())

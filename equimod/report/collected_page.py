"""Results over seeds as one page to be published: tables, picture, settings, and how to repeat."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equimod.report.collected import Collected
from equimod.report.collected_table import to_markdown
from equimod.report.table import escaped, markdown_row

PACKAGES = ("torch", "torchvision", "kornia")
"""Whose versions the page names."""


@dataclass(frozen=True)
class Made:
    """How one run was made.

    Attributes:
        environment: its `environment.json`; empty where there is none.
        document: its `run.yaml`, as it was written.
        description: what the run says that it is for.
        arms: what is special about each arm, as YAML, by name.
        minutes: how long each arm was trained, where that is known.
    """

    environment: Mapping[str, Any]
    document: str
    description: str
    arms: Mapping[str, str]
    minutes: tuple[float, ...] = ()


def to_page(collected: Collected, made: Sequence[Made], picture: str, command: str) -> str:
    """The page, as GitHub Markdown.

    Args:
        collected: the tables.
        made: how each run was made, in the order of the seeds and points.
        picture: the address of the picture, from the page.
        command: what makes this page.
    """
    first = made[0]
    tables = to_markdown(collected).split("\n", 2)
    parts = [
        tables[0],
        f"*Made by `{command}`: to change it, run that again.*",
        escaped(first.description),
        f"![{escaped(collected.title)}: every seed, with means and intervals]({picture})",
        tables[2].strip(),
        "## Arms",
        "Each arm is the run below with these changes.",
        "\n".join(_arms(first.arms)),
        "## How these numbers were made",
        "\n".join(_conditions(made)),
        "The runs, each from the folder in which `specs/` lies:",
        "```sh\n" + "\n".join(dict.fromkeys(_command(run) for run in made)) + "\n```",
        "<details>\n<summary>All settings of the first one</summary>",
        f"```yaml\n{first.document.strip()}\n```",
        "</details>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _arms(arms: Mapping[str, str]) -> Iterator[str]:
    yield markdown_row(["arm", "changes"])
    yield markdown_row([":--", ":--"])
    for name, changes in arms.items():
        yield markdown_row([escaped(name), f"`{changes}`" if changes else "none"])


def _conditions(made: Sequence[Made]) -> Iterator[str]:
    """A line for everything that mattered, with every value that there was."""
    known = [run.environment for run in made if run.environment]
    machines = [_machine(environment) for environment in known]
    versions = [
        ", ".join(
            f"{name} {environment['packages'][name]}"
            for name in PACKAGES
            if name in environment.get("packages", {})
        )
        for environment in known
    ]
    pythons = [f"Python {environment.get('python', 'unknown')}" for environment in known]
    codes = [_commit(str(environment.get("code") or "unknown")) for environment in known]
    for label, values in (
        ("machine", machines),
        ("versions", [f"{p}, {v}" for p, v in zip(pythons, versions, strict=True)]),
        ("commit of the code", codes),
    ):
        yield f"- {label}: {'; '.join(dict.fromkeys(values)) or 'not recorded'}"
    minutes = [time for run in made for time in run.minutes]
    yield f"- time: {sum(minutes):,.1f} minutes for {len(minutes)} trainings, without measuring"


def _commit(code: str) -> str:
    return f"`{code[:12]}`" + (", with changes" if code.endswith("+") else "")


def _machine(environment: Mapping[str, Any]) -> str:
    gpus = environment.get("gpus") or ["no GPU"]
    count = environment.get("threads", "?")
    threads = f"{count} thread{'' if count == 1 else 's'} of {environment.get('cores', '?')} cores"
    return f"{environment.get('processor') or 'unknown processor'}, {threads}, {', '.join(gpus)}"


def _command(run: Made) -> str:
    """The command as it was given, without the folders of the machine on which it was."""
    words = [str(word) for word in run.environment.get("command", ["not recorded"])]
    folder = str(run.environment.get("folder", ""))
    if folder:
        words = [word.replace(folder + os.sep, "") for word in words]
    program, *rest = words
    program = "python -m equimod" if program == "__main__.py" else program
    return " ".join([program, *map(shlex.quote, rest)])

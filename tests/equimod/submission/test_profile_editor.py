"""What an editor shows while a profile is written: the real yaml-language-server."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import get_args

import pytest

import slurm
from equimod.submission.profiles import profile_schema

sys.path.insert(0, str(Path(__file__).parents[2] / "editors"))
from editor import Editor, running_server
from language_server import LanguageServer, extent

from slurm.fields import Mail
from slurm.profile import Profile, Resources

SHIPPED = sorted((Path(slurm.__file__).parent / "profiles").glob("*.yaml"))
HEAD = "# yaml-language-server: $schema=profile.schema.json\n"
START = f"{HEAD}version: 1\nname: mine\n"
NUMBERS = count()

Edit = Callable[[str], Editor]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("profiles")
    (found / "profile.schema.json").write_text(profile_schema())
    return found


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LanguageServer]:
    with running_server(folder) as running:
        yield running


@pytest.fixture
def edit(server: LanguageServer, folder: Path) -> Edit:
    """Opens a text as a document that the server has not seen yet."""
    return lambda text: Editor(server, folder / f"{next(NUMBERS)}.yaml", text)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_profiles_have_no_squiggle(edit: Edit, path: Path) -> None:
    first, rest = path.read_text(encoding="utf-8").split("\n", 1)
    assert first.startswith("# yaml-language-server: $schema=")
    assert edit(HEAD + rest).marked() == []


GOOD = [
    "partition: null\nmemory_per_cpu: 4GB",
    "time: 1-12\nmail_type: [END, TIME_LIMIT_80]\nmail_user: me@example.org",
    "let: {limit: 2:00:00}\ntime: $limit\nevaluation:\n  time: $limit",
    "sbatch: {hint: nomultithread, exclusive: true}\nenvironment: {OMP_NUM_THREADS: '4'}",
]


@pytest.mark.parametrize("text", GOOD)
def test_good_profiles_have_no_squiggle(edit: Edit, text: str) -> None:
    assert edit(f"{START}{text}\n").marked() == []
    # a name may be inherited too
    assert edit(f"{HEAD}version: 1\nextends: base.yaml\n{text}\n").marked() == []


OF_A_JOB = f"fields here: {', '.join(Resources.model_fields)}"
BROKEN = {
    # the mark is the squiggle
    "«parttion»: gpu": "Property parttion is not allowed.",
    "nodes: «two»": 'Incorrect type. Expected "integer".',
    "nodes: «0»": "Value is below the minimum of 1.",
    "time: «soon»": 'must be a time such as "20:00:00"',
    "time: «90»": 'Incorrect type. Expected "string".',
    "memory: «32 GB»": "must be a size such as 32GB",
    "executor: «locl»": 'Value is not accepted. Valid values: "slurm", "local", "debug".',
    "modules: «python»": 'Incorrect type. Expected "array".',
    "extends: «[a.yaml]»": 'Incorrect type. Expected "string".',
    "sbatch: {«Hint»: x}": "must match ^[a-z][a-z0-9-]*$",
    "environment: {«1A»: x}": "must match ^[A-Za-z_][A-Za-z0-9_]*$",
    "evaluation: {«prtition»: x}": OF_A_JOB,
    "evaluation:\n  nodes: 1\n  «retries»: 2": OF_A_JOB,
}


@pytest.mark.parametrize("written", BROKEN)
def test_a_squiggle_stands_under_what_is_wrong(edit: Edit, written: str) -> None:
    marked = written[written.index("«") + 1 : written.index("»")]
    editor = edit(START + written.replace("«", "").replace("»", "") + "\n")
    assert editor.marked() == [(marked, BROKEN[written])]
    before = START + written[: written.index("«")]
    line, column, _, _ = extent(editor.diagnostics[0])
    assert (line, column) == (before.count("\n"), len(before) - before.rfind("\n") - 1)


def test_what_every_profile_must_have(edit: Edit) -> None:
    assert [said for _, said in edit(f"{HEAD}name: mine\n").marked()] == [
        'Missing property "version".'
    ]
    assert [said for _, said in edit(f"{HEAD}version: 1\n").marked()] == [
        'Missing property "name".'
    ]
    assert edit(f"{HEAD}version: 2\nname: mine\n").marked() == [("2", "Value must be 1.")]


def test_all_fields_are_offered_with_what_they_mean(edit: Edit) -> None:
    offered = edit(f"{START}|\n").completions()
    assert set(offered) == {*Profile.model_fields, "extends", "let"} - {"version", "name"}
    for name, item in offered.items():
        assert item["documentation"], name
    # nothing that would have to be deleted first
    assert offered["partition"]["insertText"] == "partition: "
    assert offered["nodes"]["insertText"] == "nodes: ${1:1}"


def test_in_the_evaluation_only_what_a_job_asks_for_is_offered(edit: Edit) -> None:
    offered = edit(f"{START}evaluation:\n  nodes: 1\n  |\n").completions()
    assert set(offered) == set(Resources.model_fields) - {"nodes"}


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("executor: |", ["debug", "local", "slurm"]),
        ("gpu_request: |", ["gpus_per_node", "gres", "none"]),
        ("evaluation:\n  gpu_request: |", ["gpus_per_node", "gres", "none"]),
        ("mail_type: [|]", sorted(get_args(Mail))),
        ("mail_type:\n  - |", sorted(get_args(Mail))),
    ],
)
def test_the_values_of_a_field_are_offered(edit: Edit, written: str, values: list[str]) -> None:
    assert sorted(edit(f"{START}{written}\n").completions()) == values


def words(text: str) -> str:
    """A text without its punctuation, some of which Markdown escapes."""
    return " ".join(re.findall(r"\w+", text))


def test_hovering_over_a_field_shows_what_it_means(server: LanguageServer, folder: Path) -> None:
    names = sorted({*Profile.model_fields} - {"evaluation"})
    path = folder / "all.yaml"
    server.open(path, HEAD + "".join(f"{name}: x\n" for name in names))
    for line, name in enumerate(names, start=1):
        meaning = Profile.model_fields[name].description
        assert meaning
        assert words(meaning) in words(server.hover(path, line, 1)), name

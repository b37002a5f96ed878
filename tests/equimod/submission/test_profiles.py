"""Profiles: found by name, checked like specs, and described for editors."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

import augspec
import slurm
from augspec import SpecError
from equimod.submission.profiles import (
    UnknownProfileError,
    known_profiles,
    load_profile,
    profile_schema,
)
from slurm.profile import Profile

SHIPPED = sorted((Path(slurm.__file__).parent / "profiles").glob("*.yaml"))
HEAD = "version: 1\nname: mine\n"


def test_the_schema_is_current(root: Path) -> None:
    assert (root / "specs/schema/profile.schema.json").read_text() == profile_schema()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_comes_with_the_package(path: Path) -> None:
    profile = load_profile(path)
    assert profile.name == path.stem
    assert augspec.loads_model(Profile, json.dumps(profile.document())) == profile
    assert profile.for_evaluation().tasks == 1
    first = path.read_text().splitlines()[0]
    schema = (path.parent / first.partition("$schema=")[2]).read_text()
    jsonschema.validate(YAML(typ="safe").load(path.read_text()), json.loads(schema))


def test_where_profiles_are_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    assert load_profile("generic").gpus_per_node == 1
    for number, folder in enumerate((tmp_path / "settings/equimod/profiles", Path("profiles"))):
        folder.mkdir(parents=True)
        (folder / "generic.yaml").write_text(f"{HEAD}nodes: {number + 2}\n")
        assert load_profile("generic").nodes == number + 2
    assert known_profiles()["generic"] == Path("profiles/generic.yaml")
    assert load_profile("./profiles/generic.yaml", ["time=2:00:00"]).minutes == 120
    with pytest.raises(UnknownProfileError, match="no profile 'genric'; did you mean 'generic'"):
        load_profile("genric")


TIMES = {"20:00:00": 1200, "90": 90, "1:30": 2, "1-0": 1440, "1-12": 2160, "2-01:30": 2970}


@pytest.mark.parametrize("time", TIMES)
def test_times(time: str) -> None:
    assert Profile(version=1, name="mine", time=time, signal_delay=1).minutes == TIMES[time]


BROKEN = {
    "parttion: gpu": "<string>:3:1: error: unknown field 'parttion'.* did you mean 'partition'?",
    "nodes: two": "<string>:3:8: error: must be an integer, got 'two'",
    "time: soon": "<string>:3:7: error: must be a time such as 20:00:00 or 2-00:00:00, got 'soon'",
    "memory: 32 GB": "<string>:3:9: error: must be a size such as 32GB or 4000MB, got '32 GB'",
    'account: "me\\nyou"': "<string>:3:10: error: must be one line",
    'account: ""': "<string>:3:10: error: must not be empty",
    "mail_type: [SOON]": "error: must be one of NONE, BEGIN.*got 'SOON'",
    "mail_type: [END]": "mail_type: needs mail_user",
    "{memory: 1GB, memory_per_cpu: 1GB}": "only one of memory and memory_per_cpu",
    "{gpus_per_node: 4, tasks_per_node: 2}": r"tasks_per_node: must be gpus_per_node \(4\)",
    "gpu_type: a100": "gpu_type: of no use with gpus_per_node 0",
    "{executor: local, partition: gpu}": "partition: of no use with `executor: local`",
    "{time: '1:00', signal_delay: 60}": "signal_delay: must be less than the time limit of 60 s",
    "sbatch: {output: here}": "sbatch: 'output' is set by the launcher itself",
    "sbatch: {Hint: here}": "error: must match the pattern",
    "evaluation: {nodes: 2}": "evaluation: is done in one process, and asks for 2",
}


@pytest.mark.parametrize("text", BROKEN)
def test_mistakes(text: str) -> None:
    fields = "\n".join(text.strip("{}").split(", ")) if text.startswith("{") else text
    with pytest.raises(SpecError, match=f"(?s){BROKEN[text]}"):
        augspec.loads_model(Profile, f"{HEAD}{fields}\n")

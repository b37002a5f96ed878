"""Profiles: found by name, checked like specs, and described for editors."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

import augspec
import slurm
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

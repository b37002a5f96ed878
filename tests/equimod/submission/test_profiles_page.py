"""`docs/profiles.md`: its table is that of the model, its examples load, its messages are said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slurm
from augspec import SpecError
from equimod.submission.profiles import load_profile, profile_schema
from slurm.profile import Profile, Resources

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
SHIPPED = Path(slurm.__file__).parent / "profiles"
EXAMPLES = re.findall(r"^```yaml\n(# (\S+)\n.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
KINDS = {"array": "list", "object": "mapping"}


def values(schema: dict[str, Any]) -> str:
    """What a field takes, in a word or two."""
    options = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    (one,) = options
    if "$ref" in one:
        return "fields of a job *"
    if "enum" in one:
        return ", ".join(f"`{value}`" for value in one["enum"])
    if "const" in one:
        return f"`{one['const']}`"
    if one["type"] == "integer":
        highest = f" to {one['maximum']}" if "maximum" in one else " or more"
        return f"{one['minimum']}{highest}"
    said = one.get("patternErrorMessage", "")
    if one["type"] == "string":
        return "time" if "time" in said else "size" if "size" in said else "text"
    return KINDS[one["type"]]


def default(name: str) -> str:
    field = Profile.model_fields[name]
    if field.is_required():
        return "needed"
    return "" if field.default in (None, "", (), {}) else f"`{field.default}`"


def rows() -> Iterator[str]:
    properties = json.loads(profile_schema())["properties"]
    own = [name for name in Profile.model_fields if name not in Resources.model_fields]
    for name in (*own[:4], *Resources.model_fields, *own[4:]):
        star = " *" if name in Resources.model_fields else ""
        meaning = " ".join(str(Profile.model_fields[name].description).split())
        yield f"| `{name}`{star} | {values(properties[name])} | {default(name)} | {meaning} |"


def test_the_table_is_that_of_the_model() -> None:
    """Otherwise: put these rows there."""
    found = [line for line in PAGE.splitlines() if re.match(r"\| `\w+`( \*)? \| .* \| .* \|", line)]
    assert "\n".join(found) == "\n".join(rows())


def test_every_shipped_profile_is_described() -> None:
    described = re.findall(r"^\| \[`([\w-]+)`\]\((\S+)\) \| ", PAGE, flags=re.MULTILINE)
    assert [name for name, _ in described] == sorted(path.stem for path in SHIPPED.glob("*.yaml"))
    for name, link in described:
        assert (ROOT / "docs" / link).resolve() == (SHIPPED / f"{name}.yaml").resolve()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like a checkout, with the profiles that the page writes."""
    (tmp_path / "slurm").symlink_to(ROOT / "slurm")
    (tmp_path / "profiles").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for text, path in EXAMPLES:
        Path(path).write_text(text)
    return tmp_path


def test_the_examples_load(checkout: Path) -> None:
    ((text, path),) = EXAMPLES
    assert len(text.splitlines()) <= 12
    profile = load_profile(Path(path).stem)
    parent = load_profile(SHIPPED / "generic.yaml")
    assert (profile.partition, profile.gpus_per_node, profile.tasks) == ("a100", 4, 4)
    assert (profile.memory, profile.memory_per_gpu) == (None, "60GB")
    assert profile.signal_delay == parent.signal_delay
    assert profile.for_evaluation().time == "1:00:00"


def test_the_messages_are_said(checkout: Path) -> None:
    (said,) = re.findall(
        r"^```console\n\$ equimod submit (.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )
    command, message = said.split("\n", 1)
    name = re.search(r"--profile (\S+)", command)
    assert name
    with pytest.raises(SpecError) as error:
        load_profile(name[1], re.findall(r"--profile-set (\S+)", command))
    assert message == f"{error.value}\n"

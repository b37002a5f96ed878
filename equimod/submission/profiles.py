"""Finding profiles by name, reading them, and their JSON Schema for editors.

python -m equimod.submission.profiles > specs/schema/profile.schema.json
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import augspec
import slurm
from slurm.profile import Profile

EXTENDS = "The path of a profile, from this file on: what is left out here is taken from there."
LET = "Values by name; `$name` stands for one of them anywhere below."


class UnknownProfileError(ValueError):
    """There is no profile of that name."""


def load_profile(name: str | Path, overrides: Sequence[str] = ()) -> Profile:
    """Reads a profile.

    Args:
        name: the path of a file; or a name, which is looked up in `profiles/`, then in
            `~/.config/equimod/profiles/`, then among those that come with the package.
        overrides: assignments such as `time=2:00:00`.

    Raises:
        UnknownProfileError: there is none of that name.
        SpecError: the file has mistakes; all of them at once.
    """
    try:
        return augspec.load_model(Profile, _path(str(name)), overrides, allow_outside=True)
    except augspec.SpecError as error:
        raise augspec.SpecError(*map(_under_its_option, error.diagnostics)) from None


def _under_its_option(mistake: augspec.Diagnostic) -> augspec.Diagnostic:
    """A mistake in an assignment, under the name of the option that a person has typed."""
    place = mistake.position
    if place is None or place.file != "--set":
        return mistake
    return replace(mistake, position=replace(place, file="--profile-set"))


def known_profiles() -> dict[str, Path]:
    """All profiles by name; those that are found first hide later ones."""
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def _folders() -> Iterator[Path]:
    yield Path("profiles")
    settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    yield Path(settings) / "equimod" / "profiles"
    yield Path(slurm.__file__).parent / "profiles"


def _path(name: str) -> Path:
    if Path(name).suffix in (".yaml", ".yml", ".json") or os.sep in name:
        return Path(name)
    known = known_profiles()
    if name not in known:
        hint = augspec.meant(name, known)
        message = f"no profile {name!r}{hint} (profiles: {', '.join(sorted(known))})"
        raise UnknownProfileError(f"{message}; or name a file, such as ./{name}.yaml")
    return known[name]


def profile_schema() -> str:
    """The JSON Schema of profiles, as `specs/schema/profile.schema.json` holds it."""
    schema = Profile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for model in (schema, *schema["$defs"].values()):
        for field in model["properties"].values():
            field.pop("title", None)  # the name in other letters
    # documents may build on others (see `augspec.load_model`)
    schema["properties"] |= {
        "extends": {"type": "string", "description": EXTENDS},
        "let": {"type": "object", "description": LET},
    }
    schema["required"].remove("name")
    schema |= {"if": {"required": ["extends"]}, "else": {"required": ["name"]}}
    return json.dumps(augspec.for_editors(schema), indent=2) + "\n"


if __name__ == "__main__":
    print(profile_schema(), end="")

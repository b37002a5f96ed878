import subprocess
import sys
import textwrap
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator, model_validator

from augspec.language.diagnostics import SpecError
from augspec.language.document import (
    DocumentModel,
    Fault,
    Faults,
    fault,
    load_model,
    loads_model,
    validate,
)
from augspec.language.source import overlay, parse_source


class Device(Enum):
    CPU = "cpu"
    CUDA = "cuda"


class Blur(DocumentModel):
    op: Literal["gaussian_blur"] = "gaussian_blur"
    p: float = Field(default=1.0, ge=0, le=1)
    kernel_size: int = Field(default=3, alias="kernel")

    @field_validator("kernel_size")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("the kernel must be odd")
        return kernel


class Crop(DocumentModel):
    op: Literal["center_crop", "crop"] = "crop"
    size: Annotated[int, Field(ge=1)] | tuple[int, int]


class View(DocumentModel):
    ops: tuple[Annotated[Blur | Crop, Field(discriminator="op")], ...] = ()

    @model_validator(mode="after")
    def _few(self) -> "View":
        found = [Fault(("ops", i), "only two ops are allowed") for i in range(2, len(self.ops))]
        if found:
            raise Faults(found).error()
        return self


class Step(DocumentModel):
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> "Step":
        if self.low > self.high:
            raise fault(f"must not exceed high, got {self.low}", "low")
        return self


class Recipe(DocumentModel):
    version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1)] = "x"
    device: Device = Device.CPU
    epochs: int = Field(default=1, gt=0, multiple_of=2)
    rate: float | Literal["auto"] = 0.1
    folder: Path = Path()
    verbose: bool = False
    mean: tuple[float, float] = (0.0, 0.0)
    layers: list[int] = Field(default=[1], min_length=1, max_length=3)
    views: dict[Annotated[str, Field(pattern="^[a-z]+$")], View] = Field(default={})
    step: Step | Blur | None = None
    steps: list[Step] = Field(default=[])


def message(text: str, model: Any = Recipe) -> str:
    with pytest.raises(SpecError) as info:
        loads_model(model, textwrap.dedent(text), "f")
    return str(info.value)


def headlines(text: str) -> list[str]:
    lines = message(text).split("\n")
    assert all(line.startswith("f:") for line in lines[::3])
    return lines[::3]


def test_every_mistake_of_a_document_at_once() -> None:
    text = """\
    nme: byol
    views:
      first:
        ops:
          - {op: gausian_blur, p: 0.5}
          - {op: gaussian_blur, sigma: 1, p: -1}
      second:
        ops:
          - {op: crop}
          - {size: 3}
          - crop
    """
    assert message(text) == (
        "f:1:1: error: unknown field 'nme' in the document; did you mean 'name'? (fields: version, "
        "name, device, epochs, rate, folder, verbose, mean, layers, views, step, steps)\n"
        "  1 | nme: byol\n"
        "    | ^^^\n"
        "f:5:14: error: unknown op 'gausian_blur'; did you mean 'gaussian_blur'? (known: "
        "gaussian_blur, center_crop, crop)\n"
        "  5 |       - {op: gausian_blur, p: 0.5}\n"
        "    |              ^^^^^^^^^^^^\n"
        "f:6:29: error: unknown field 'sigma' in gaussian_blur (fields: op, p, kernel)\n"
        "  6 |       - {op: gaussian_blur, sigma: 1, p: -1}\n"
        "    |                             ^^^^^\n"
        "f:6:42: error: must be >= 0, got -1\n"
        "  6 |       - {op: gaussian_blur, sigma: 1, p: -1}\n"
        "    |                                          ^^\n"
        "f:9:9: error: missing required field 'size' in crop\n"
        "  9 |       - {op: crop}\n"
        "    |         ^^^^^^^^^^\n"
        "f:10:9: error: missing 'op' in views.second.ops.1\n"
        "  10 |       - {size: 3}\n"
        "     |         ^^^^^^^^^\n"
        "f:11:9: error: must be a mapping, got 'crop' (a string); did you mean {op: crop}?\n"
        "  11 |       - crop\n"
        "     |         ^^^^"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1]", "f:1:1: error: must be a mapping, got [1] (a list)"),
        ("version: 2", "f:1:10: error: must be 1, got 2"),
        ("version: true", "f:1:10: error: must be 1, got true"),
        ("version: 1.0", "f:1:10: error: must be 1, got 1.0"),
        ("version: '1'", "f:1:10: error: must be 1, got '1' (a string)"),
        ("name: ''", "f:1:7: error: must have at least 1 character, got ''"),
        ("name: 3", "f:1:7: error: must be a string, got 3 (an integer)"),
        ("name:", "f:1:1: error: must be a string, got null"),
        ("device: gpu", "f:1:9: error: must be 'cpu' or 'cuda', got 'gpu'; did you mean 'cpu'?"),
        ("epochs: 0", "f:1:9: error: must be > 0, got 0"),
        ("epochs: 3", "f:1:9: error: must be a multiple of 2, got 3"),
        ("epochs: 2.0", "f:1:9: error: must be an integer, got 2.0 (a number)"),
        ("epochs: '2'", "f:1:9: error: must be an integer, got '2' (a string)"),
        ("epochs: true", "f:1:9: error: must be an integer, got true (a truth value)"),
        (
            "rate: atuo",
            "f:1:7: error: must be a number or 'auto', got 'atuo' (a string); did you mean 'auto'?",
        ),
        ("rate: true", "f:1:7: error: must be a number or 'auto', got true (a truth value)"),
        ("rate: .inf", "f:1:7: error: must be a finite number or 'auto', got inf"),
        ("folder: [a]", "f:1:9: error: must be a path, got ['a'] (a list)"),
        ("verbose: yes", "f:1:10: error: must be true or false, got 'yes' (a string)"),
        ("verbose: 1", "f:1:10: error: must be true or false, got 1 (an integer)"),
        ("mean: [1]", "f:1:7: error: must have 2 entries, got 1"),
        ("mean: []", "f:1:7: error: must have 2 entries, got 0"),
        ("mean: [1, 2, 3]", "f:1:7: error: must have exactly 2 entries, got 3"),
        ("mean: [1, x]", "f:1:11: error: must be a number, got 'x' (a string)"),
        ("mean: {a: 1}", "f:1:7: error: must be a list, got {'a': 1} (a mapping)"),
        ("mean: [1, .nan]", "f:1:11: error: must be a finite number, got nan"),
        ("layers: []", "f:1:9: error: must have at least 1 entry, got 0"),
        ("layers: [1, 2, 3, 4]", "f:1:9: error: must have at most 3 entries, got 4"),
        ("layers: [1, 2.5]", "f:1:13: error: must be an integer, got 2.5 (a number)"),
        ("views: {A1: {}}", "f:1:9: error: must match the pattern ^[a-z]+$, got 'A1'"),
        ("views: {a: {ops: 3}}", "f:1:18: error: must be a list, got 3 (an integer)"),
        (
            "views: {a: {op: []}}",
            "f:1:13: error: unknown field 'op' in views.a; did you mean 'ops'? (fields: ops)",
        ),
        (
            "views: {a: {ops: [{op: gaussian_blur, kernel: 4}]}}",
            "f:1:47: error: the kernel must be odd, got 4",
        ),
        (
            "views: {a: {ops: [{op: [crop]}]}}",
            "f:1:24: error: unknown op ['crop']; did you mean 'crop'? (known: gaussian_blur, "
            "center_crop, crop)",
        ),
        (
            "views: {a: {ops: [{op: crop, size: x}]}}",
            "f:1:36: error: must be an integer or a list, got 'x' (a string)",
        ),
        (
            "views: {a: {ops: [{op: crop, size: [1, x]}]}}",
            "f:1:40: error: must be an integer, got 'x' (a string)",
        ),
        (
            "views: {a: {ops: [{op: crop, size: [1]}]}}",
            "f:1:36: error: must have 2 entries, got 1",
        ),
        ("views: {a: {ops: [{op: crop, size: 0}]}}", "f:1:36: error: must be >= 1, got 0"),
        ("step: {low: 2}", "f:1:13: error: must not exceed high, got 2.0"),
        ("step: {low: x}", "f:1:13: error: must be a number, got 'x' (a string)"),
        (
            "step: {lwo: 1}",
            "f:1:8: error: unknown field 'lwo' in step; did you mean 'low'? (fields: low, high)",
        ),
        ("steps: [{}, {low: 3}]", "f:1:19: error: must not exceed high, got 3.0"),
        (
            f"name: [{'1, ' * 50}2]",
            "f:1:7: error: must be a string, got [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, "
            "1, 1, 1,... (a list)",
        ),
    ],
)
def test_one_mistake_gives_one_line(text: str, expected: str) -> None:
    assert headlines(text) == [expected]


def test_several_faults_of_one_validator_stand_at_their_own_places() -> None:
    ops = "".join("  - {op: gaussian_blur}\n" for _ in range(4))
    text = f"views:\n a:\n  ops:\n{ops}"
    assert headlines(text) == [
        "f:6:5: error: only two ops are allowed",
        "f:7:5: error: only two ops are allowed",
    ]


def test_a_fault_reads_well_without_a_document() -> None:
    with pytest.raises(ValidationError, match=r"low: must not exceed high, got 3\.0"):
        Step(low=3.0, high=2.0)


def test_a_fault_may_hold_braces_and_percent_signs() -> None:
    class Model(DocumentModel):
        x: int = 0

        @model_validator(mode="after")
        def _never(self) -> "Model":
            raise fault("use {choice: [a]} or {faults}, 5%d", "x")

    assert message("x: 1", Model).startswith("f:1:4: error: use {choice: [a]} or {faults}, 5%d\n")


def test_a_tagged_union_among_other_types() -> None:
    class Model(DocumentModel):
        op: Annotated[Blur | Crop, Field(discriminator="op")] | int = 0
        either: Blur | Crop | None = Field(default=None, discriminator="op")

    def first(text: str) -> str:
        return message(text, Model).split("\n")[0]

    assert first("op: {op: cop}") == (
        "f:1:10: error: unknown op 'cop'; did you mean 'crop'? (known: gaussian_blur, center_crop, "
        "crop)"
    )
    assert first("op: {op: crop}") == "f:1:5: error: missing required field 'size' in crop"
    assert first("op: x") == "f:1:5: error: must be a mapping or an integer, got 'x' (a string)"
    assert first("either: {op: crop, p: 1}").startswith(
        "f:1:9: error: missing required field 'size' in crop"
    )


def test_mistakes_point_into_the_file_that_made_them() -> None:
    base = parse_source("epochs: 3\nname: ''\n", "base")
    both = overlay(base, parse_source("# c\nname: 5", "top"))
    with pytest.raises(SpecError) as info:
        validate(Recipe, both)
    assert str(info.value).split("\n")[::3] == [
        "base:1:9: error: must be a multiple of 2, got 3",
        "top:2:7: error: must be a string, got 5 (an integer)",
    ]


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_load_with_overrides(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"recipe.{suffix}"
    file.write_text('{"mean": [1, 2.5], "folder": "data",\n\t"views": {"a": {"ops": []}}}')
    recipe = load_model(Recipe, file, ["epochs=4", "views.a.ops=[{op: crop, size: [2, 3]}]"])
    assert recipe == Recipe(
        epochs=4,
        mean=(1.0, 2.5),
        folder=Path("data"),
        views={"a": View(ops=(Crop(size=(2, 3)),))},
    )
    with pytest.raises(SpecError, match=r"--set:1:8: error: must be > 0, got -2"):
        load_model(Recipe, file, ["epochs=-2"])


def test_scalars_are_strict_and_containers_are_not() -> None:
    recipe = loads_model(
        Recipe, "{mean: [1, 2], rate: 1, folder: a/b, step: {low: 1}, layers: [2]}"
    )
    assert recipe.mean == (1.0, 2.0)
    assert isinstance(recipe.mean[0], float)
    assert recipe.folder == Path("a/b")
    assert isinstance(recipe.step, Step)
    for wrong in ({"epochs": True}, {"epochs": "2"}, {"mean": ("1", 2)}, {"name": b"x"}):
        with pytest.raises(ValidationError):
            Recipe(**wrong)


def test_models_are_frozen_and_documented_by_docstrings() -> None:
    class Model(DocumentModel):
        x: Literal[1, 2] = 1
        """The number of things."""

    with pytest.raises(ValidationError, match="frozen"):
        Model().x = 2  # type: ignore[misc]
    described = Model.model_json_schema()["properties"]["x"]
    assert described["description"] == "The number of things."
    assert described["enum"] == [1, 2]
    assert Blur(kernel=5).model_dump() == {"op": "gaussian_blur", "p": 1.0, "kernel": 5}


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-3, 3)
        | st.floats()
        | st.text("ab:, '", max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["op", "ops", "a", "size", "low", "kernel"]), inner, max_size=3
            )
        ),
        max_leaves=6,
    ),
    st.sampled_from([*Recipe.model_fields, "wrong"]),
)
def test_any_data_gives_a_model_or_placed_diagnostics(value: Any, field: str) -> None:
    source = parse_source("{}")
    data = {field: value}
    source = type(source)(data, source.marks, source.lines)
    try:
        validate(Recipe, source)
    except SpecError as error:
        assert error.diagnostics
        assert all(d.position is not None for d in error.diagnostics)


def test_the_language_is_light_to_import() -> None:
    program = (
        "import sys, augspec.language.document, augspec.language.resolve\n"
        "heavy = {'torch', 'numpy', 'rich', 'kornia'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

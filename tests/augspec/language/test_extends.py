"""Documents that extend others: what merges, what is edited, what is refused, and where."""

from __future__ import annotations

import os
import re
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

import augspec
from augspec import Spec, SpecError
from augspec.language.document import DocumentModel, load_model
from augspec.language.merge import merged
from augspec.language.source import overlay, parse_source, paths

BASE = """\
version: 1
name: base
image: {size: 32}
normalize: {mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}
meta: {notes: {a: 1, b: [1]}, ops: [{op: x}]}
views:
  original: {}
  first:
    ops:
      - {op: resized_crop, size: 32, aspect: {log_uniform: [0.75, 1.5]}}
      - {op: horizontal_flip, p: 0.5}
      - {op: gaussian_blur, sigma: [0.1, 2.0]}
      - {op: maybe, id: sun, p: 0.2, ops: [{op: solarize}, {op: grayscale}, {op: solarize}]}
      - {op: gaussian_blur, kernel: 5}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "base.yaml", BASE)
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def child(folder: Path, text: str, name: str = "child.yaml") -> Path:
    return write(folder, name, f"version: 1\nextends: base.yaml\n{text}")


def mistakes(path: Path, *overrides: str, **options: Any) -> list[tuple[str, str]]:
    """Every mistake as the name of its file with line and column, and its message."""
    with pytest.raises(SpecError) as error:
        load_model(Spec, path, overrides, **options)
    return [
        (f"{Path(d.position.file).name}:{d.position.line}:{d.position.column}", d.message)
        if d.position
        else ("", d.message)
        for d in error.value.diagnostics
    ]


def test_mappings_merge_and_lists_replace(folder: Path) -> None:
    text = "name: c\nnormalize: {std: [1, 1, 1]}\nmeta: {notes: {a: 2, c: 3}}\nviews: {second: {}}"
    spec = augspec.load(child(folder, text))
    base = augspec.load(folder / "base.yaml")
    assert spec.name == "c"
    assert spec.normalize is not None
    assert (spec.normalize.mean, spec.normalize.std) == ((0.5, 0.5, 0.5), (1, 1, 1))
    assert spec.meta == {"notes": {"a": 2, "b": [1], "c": 3}, "ops": [{"op": "x"}]}
    assert list(spec.views) == ["original", "first", "second"]
    assert spec.views["first"] == base.views["first"]


def test_a_list_of_ops_replaces_and_a_mapping_edits(folder: Path) -> None:
    replaced = augspec.load(child(folder, "views: {first: {ops: [{op: grayscale}]}}"))
    assert [op.tag() for op in replaced.views["first"].ops] == ["grayscale"]
    edits = """\
views:
  first:
    ops:
      horizontal_flip: null
      gaussian_blur_2: {p: 0.1}
      gaussian_blur_1: {kernel: 7}
      sun: {p: 0.3, ops: {solarize_2: null, grayscale: {p: 0.5}}}
      resized_crop: {aspect: {normal: {mean: 1, std: 0.1, low: 0.5, high: 2}}}
"""
    ops = augspec.load(child(folder, edits)).document()["views"]["first"]["ops"]
    assert ops == [
        {
            "op": "resized_crop",
            "size": 32,
            "aspect": {"normal": {"mean": 1.0, "std": 0.1, "low": 0.5, "high": 2.0}},
        },
        {"op": "gaussian_blur", "kernel": 7},
        {
            "op": "maybe",
            "id": "sun",
            "p": 0.3,
            "ops": [{"op": "solarize"}, {"op": "grayscale", "p": 0.5}],
        },
        {"op": "gaussian_blur", "p": 0.1, "kernel": 5},
    ]


def test_meta_is_never_edited(folder: Path) -> None:
    assert augspec.load(child(folder, "meta: {ops: {x: null}}")).meta["ops"] == {"x": None}


def test_grandparents_and_folders(folder: Path) -> None:
    child(folder, "name: middle", "middle.yaml")
    write(folder, "deep/low.yaml", "version: 1\nextends: ../middle.yaml\nimage: {channels: 3}")
    top = write(folder, "top.yaml", "version: 1\nextends: deep/low.yaml\nname: top")
    spec = augspec.load(top)
    assert (spec.name, spec.image.size) == ("top", 32)


def test_places_lie_in_the_file_that_wrote_the_value(folder: Path) -> None:
    base = BASE.replace("p: 0.2,", "p: 7,").replace("kernel: 5", "kernel: 4")
    write(folder, "base.yaml", base)
    edits = "views:\n  first:\n    ops:\n"
    edits += "      gaussian_blur_1: {sgima: 1}\n      resized_crop: {size: 0}"
    found = mistakes(child(folder, edits), "views.first.ops.horizontal_flip.p=2")
    assert [place for place, _ in found] == [
        "--set:1:35",
        "base.yaml:13:33",
        "base.yaml:14:37",
        "child.yaml:6:25",
        "child.yaml:7:28",
    ]


def test_mistakes_of_edits(folder: Path) -> None:
    edits = """\
views:
  first:
    ops:
      gaussian_blur: {p: 0}
      horizontal_flipp: {p: 0}
      gaussian_blur_3: null
      sun: {ops: {gray: null}}
      resized_crop: 5
"""
    known = "(entries: resized_crop, horizontal_flip, gaussian_blur_1, sun, gaussian_blur_2)"
    assert mistakes(child(folder, edits)) == [
        (
            "child.yaml:6:7",
            "entries 2 and 4 of views.first.ops are all 'gaussian_blur': say 'gaussian_blur_1' or "
            "'gaussian_blur_2', or use an index or an id",
        ),
        (
            "child.yaml:7:7",
            "views.first.ops has no entry 'horizontal_flipp'; did you mean 'horizontal_flip'? "
            f"{known}",
        ),
        (
            "child.yaml:8:7",
            "views.first.ops has no entry 'gaussian_blur_3'; did you mean 'gaussian_blur_2'? "
            f"{known}",
        ),
        (
            "child.yaml:9:19",
            "views.first.ops.sun.ops has no entry 'gray'; did you mean 'grayscale'? "
            "(entries: solarize_1, grayscale, solarize_2)",
        ),
        (
            "child.yaml:10:21",
            "'resized_crop' takes a mapping of the fields that change, or null to remove the "
            "entry, got 5",
        ),
    ]
    write(folder, "base.yaml", BASE.replace("original: {}", "original: {ops: []}"))
    empty = child(folder, "views: {original: {ops: {flip: null}}}")
    assert mistakes(empty) == [
        ("child.yaml:3:26", "views.original.ops has no entry 'flip' (it is empty)")
    ]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("extends: [base.yaml, b.yaml]", "s.yaml:2:10", "one parent"),
        ("extends: 5", "s.yaml:2:10", "`extends` is the path of a YAML or JSON file, got 5"),
        ("extends: ''", "s.yaml:2:10", "is the path of a YAML or JSON file"),
        ('extends: "a\\0b"', "s.yaml:2:10", "is the path of a YAML or JSON file"),
        ("extends: baes.yaml", "s.yaml:2:10", "did you mean"),
        ("extends: .", "s.yaml:2:10", "is not a file"),
        ("extends: list.yaml", "list.yaml:1:1", "must be a mapping"),
        ("extends: broken.yaml", "broken.yaml:1:5", "not valid YAML"),
        ("extends: old.yaml", "old.yaml:1:10", "augspec migrate"),
        ("extends: none.yaml", "none.yaml:1:1", "missing required field 'version'"),
        ("extends: s.yaml", "s.yaml:2:10", "in a circle: "),
    ],
)
def test_parents_that_cannot_be(folder: Path, text: str, place: str, message: str) -> None:
    write(folder, "list.yaml", "- 1")
    write(folder, "broken.yaml", "a: [")
    write(folder, "old.yaml", "version: 0\nname: x")
    write(folder, "none.yaml", "name: x")
    found = mistakes(write(folder, "s.yaml", f"version: 1\n{text}\nnmae: also wrong"))
    assert [where for where, _ in found] == [place]
    assert message in found[0][1]


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")
    found = mistakes(write(folder, "s.yaml", "version: 1\nextends: pipe.yaml"))
    assert "is not a file" in found[0][1]


def test_a_circle_shows_its_chain(folder: Path) -> None:
    write(folder, "a.yaml", "version: 1\nextends: b.yaml")
    write(folder, "b.yaml", "version: 1\nextends: sub/../c.yaml")
    (folder / "sub").mkdir()
    write(folder, "c.yaml", "version: 1\nextends: ./b.yaml")
    ((place, message),) = mistakes(folder / "a.yaml")
    assert place == "c.yaml:2:10"
    b, c = folder / "b.yaml", folder / "sub" / ".." / "c.yaml"
    assert message.startswith(f"documents extend one another in a circle: {b} -> {c} -> ")


def test_sixteen_parents_and_no_more(folder: Path) -> None:
    for k in range(18):
        write(folder, f"d{k}.yaml", f"version: 1\nextends: {f'd{k - 1}' if k else 'base'}.yaml")
    assert augspec.load(folder / "d15.yaml").name == "base"  # d14 ... d0 and base
    ((place, message),) = mistakes(folder / "d16.yaml")
    assert (place, message) == ("d0.yaml:2:10", "documents extend one another more than 16 deep")


def test_no_file_outside_the_folder_is_read(folder: Path) -> None:
    inside = folder / "inside"
    outside = ["../base.yaml", str(folder / "base.yaml"), "link.yaml", "linked/base.yaml"]
    inside.mkdir()
    (inside / "link.yaml").symlink_to(folder / "base.yaml")
    (inside / "linked").symlink_to(folder)
    write(inside, "deep/parent.yaml", "version: 1\nextends: ../../base.yaml")
    for name in outside:
        path = write(inside, "s.yaml", f"version: 1\nextends: {name}\nname: s")
        ((place, message),) = mistakes(path)
        assert place == "s.yaml:2:10"
        assert "lies outside" in message
        assert "--allow-outside" in message
        assert load_model(Spec, path, allow_outside=True).image.size == 32
    path = write(inside, "s.yaml", "version: 1\nextends: deep/parent.yaml")
    assert mistakes(path)[0][0] == "parent.yaml:2:10"
    # not even whether there is such a file is told
    path = write(inside, "s.yaml", "version: 1\nextends: ../none.yaml")
    assert "lies outside" in mistakes(path)[0][1]
    (inside / "own.yaml").symlink_to(inside / "real.yaml")
    write(inside, "real.yaml", BASE)
    path = write(inside, "s.yaml", "version: 1\nextends: own.yaml")
    assert augspec.load(path).name == "base"


def test_text_extends_from_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert augspec.loads("version: 1\nextends: base.yaml", "other/place.yaml").name == "base"
    monkeypatch.chdir(write(folder, "sub/x.yaml", "").parent)
    with pytest.raises(SpecError, match=r"<string>:2:10: error: \.\./base\.yaml lies outside"):
        augspec.loads("version: 1\nextends: ../base.yaml")


def test_assignments_come_last_and_cannot_extend(folder: Path) -> None:
    path = child(folder, "views: {first: {ops: {gaussian_blur_2: {p: 0.5}}}}")
    spec = augspec.load(path, ["views.first.ops.gaussian_blur_2.p=0.25", "image.channels=3"])
    assert (spec.views["first"].ops[4].p, spec.image.channels) == (0.25, 3)
    ((place, message),) = mistakes(path, "extends=other.yaml")
    assert (place, message[:28]) == ("--set:1:1", "`extends` cannot be assigned")


def test_a_run_names_a_spec_that_extends(folder: Path) -> None:
    from equimod.config import load_run

    specs = Path(__file__).parents[3] / "specs"
    write(folder, "base.yaml", (specs / "augmentations" / "quickstart.yaml").read_text())
    child(
        folder,
        "name: for-a-run\nlet: {p: 0.125}\nviews: {first: {ops: {horizontal_flip: {p: $p}}}}",
    )
    run = (specs / "runs" / "quickstart.yaml").read_text()
    run = re.sub("(?m)^augmentations: .*$", "augmentations: child.yaml", run)
    path = write(folder, "run.yaml", run)
    spec = load_run(path, ["augmentations.let.p=0.25"]).spec
    assert (spec.name, dict(spec.views["first"].identified())["horizontal_flip"].p) == (
        "for-a-run",
        0.25,
    )
    child(folder, "views: {first: {ops: {flip: null}}}")
    with pytest.raises(SpecError, match=r"child.yaml:3:23: error: views.first.ops has no entry"):
        load_run(path)


def test_any_model_can_be_written_in_parts(folder: Path) -> None:
    class Model(DocumentModel):
        a: int
        b: dict[str, int] = Field(default={})

    write(folder, "low.yaml", "a: 1\nb: {x: 1}")
    path = write(folder, "m.yaml", "extends: low.yaml\nlet: {two: 2}\nb: {y: $two}")
    assert load_model(Model, path) == Model(a=1, b={"x": 1, "y": 2})


def test_what_it_costs_is_bounded(folder: Path) -> None:
    levels = "\n".join(f"l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 10)}]" for k in range(1, 12))
    laughs = f"l0: &l0 [a, a, a, a, a, a, a, a, a, a]\n{levels}\n"
    write(folder, "laughs.yaml", f"version: 1\n{laughs}")
    for text in (
        "extends: laughs.yaml",
        f"extends: base.yaml\nmeta:\n  {laughs}".replace("\nl", "\n  l"),
    ):
        path = write(folder, "s.yaml", f"version: 1\n{text}")
        seconds, peak, found = measured(path)
        assert "more than 100000 values" in found
        assert seconds < 1
        assert peak < 200e6
    write(folder, "huge.yaml", "version: 1\n" + "#" * 9_999_000)
    path = write(folder, "s.yaml", "version: 1\nextends: huge.yaml\n" + "#" * 2_000)
    seconds, peak, found = measured(path)
    assert "larger than 10 MB" in found
    assert seconds < 1


def measured(path: Path) -> tuple[float, float, str]:
    start = time.perf_counter()
    with pytest.raises(SpecError) as error:
        augspec.load(path)
    seconds = time.perf_counter() - start
    tracemalloc.start()
    with pytest.raises(SpecError):
        augspec.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak, str(error.value)


def test_files_count_together(folder: Path) -> None:
    many = ", ".join(["1"] * 60_000)
    write(folder, "low.yaml", f"version: 1\nmeta: {{a: [{many}]}}")
    path = write(folder, "s.yaml", f"version: 1\nextends: low.yaml\nmeta: {{b: [{many}]}}")
    ((place, message),) = mistakes(path)
    assert place == "s.yaml:2:10"
    assert "more than 100000 values" in message


DOCUMENTS = st.recursive(
    st.none() | st.integers(0, 3) | st.lists(st.integers(0, 3), min_size=1, max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_without_lists_of_ops_it_is_an_overlay(low: Any, middle: Any, top: Any) -> None:
    a, b, c = (
        parse_source(repr({"r": d}).replace("None", "null"), n)
        for d, n in zip((low, middle, top), "abc", strict=True)
    )
    assert merged(a, b) == overlay(a, b)
    once, twice = merged(merged(a, b), c), merged(a, merged(b, c))
    assert once.data == merged(once, c).data
    assert set(once.marks) == set(paths(once.data, ()))
    assert set(twice.marks) == set(paths(twice.data, ()))


@given(st.permutations(range(5)), st.sets(st.integers(0, 4)), st.sets(st.integers(0, 4)))
def test_every_value_keeps_its_mark_however_the_list_is_edited(
    order: list[int], removed: set[int], edited: set[int]
) -> None:
    ops = ", ".join(f"{{op: o{k}, v: {k}}}" for k in range(5))
    edits = [
        f"o{k}: {'null' if k in removed else f'{{w: {k}}}'}" for k in order if k in removed | edited
    ]
    a, b = parse_source(f"ops: [{ops}]", "a"), parse_source(f"ops: {{{', '.join(edits)}}}", "b")
    result = merged(a, b)
    assert set(result.marks) == set(paths(result.data, ()))
    kept = [k for k in range(5) if k not in removed]
    assert [op["v"] for op in result.data["ops"]] == kept
    for index, k in enumerate(kept):
        at = ("ops", index)
        assert result.at((*at, "v")) == a.at(("ops", k, "v"))
        if k in edited:
            assert result.data["ops"][index]["w"] == k
            assert result.at((*at, "w")) == b.at(("ops", f"o{k}", "w"))

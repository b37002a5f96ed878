"""`augspec diff`: meaning, not text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import augspec
from augspec.compiler.diff import diff

Command = Callable[..., tuple[int, str, str]]

A = """\
version: 1
name: one
views:
  first:
    ops:
      - {op: horizontal_flip, p: 0.5}
      - {op: color_jitter, brightness: 0.4, p: 0.8}
      - {op: grayscale, p: 0.2}
      - {op: one_of, ops: [{op: solarize}, {op: invert, p: 0.5}]}
  second: {ops: [{op: horizontal_flip, p: 0.5}]}
  third: {}
"""
B = """\
version: 1
name: one
normalize: {mean: [0.5], std: [0.5]}
views:
  first:
    ops:
      - {op: grayscale, p: 0.2}
      - {op: horizontal_flip, p: 0.25}
      - {op: color_jitter, brightness: [0.5, 1.4], p: 0.8}
      - {op: one_of, ops: [{op: solarize, threshold: 0.25}]}
      - {op: gaussian_blur, p: 0.5}
  second: {ops: [{op: vertical_flip, id: horizontal_flip, p: 0.5}]}
  fourth: {}
"""
SAME = """\
# the same in other words
version: 1
name: renamed
views:
  first:
    ops:
      - {p: 0.5, op: horizontal_flip}
      - {op: color_jitter, brightness: [0.6, 1.4], contrast: 0, p: 0.8, order: random}
      - {op: grayscale, p: 0.2}
      - op: one_of
        ops: [{op: solarize, threshold: 0.5}, {op: invert, p: 0.5}]
  second: {ops: [{op: horizontal_flip, p: 0.5}]}
  third: {ops: []}
"""


def files(folder: Path, *texts: str) -> list[Path]:
    paths = [folder / f"{k}.yaml" for k in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def test_everything_that_can_differ(command: Command, tmp_path: Path) -> None:
    a, b = files(tmp_path, A, B)
    code, out, err = command("diff", a, b)
    assert (code, err) == (0, "")
    plans = [augspec.make_plan(augspec.load(path)) for path in (a, b)]
    lines = out.splitlines()
    assert lines[0] == f"plan {plans[0].hash} -> {plans[1].hash}"
    assert "normalize: null -> {mean: [0.5], std: [0.5]}" in lines
    assert "only in the first: view third" in lines
    assert "only in the second: view fourth" in lines
    first = lines[lines.index("view first:") + 1 : lines.index("view second:")]
    assert "  > grayscale: from place 3 to 1" in first
    assert sum(line.startswith("  > ") for line in first) == 1  # the others need not move
    assert "  ~ horizontal_flip: p 0.5 -> 0.25" in first
    assert "  ~ color_jitter: brightness [0.6, 1.4] -> [0.5, 1.4]" in first
    assert "  ~ one_of.solarize: threshold 0.5 -> 0.25" in first
    assert "  - one_of.invert: {op: invert, p: 0.5}" in first
    assert any(line.startswith("  + gaussian_blur: {op: gaussian_blur, p: 0.5") for line in first)
    layouts = [plan.views[0].layout for plan in plans]
    head = f"  code: layout {layouts[0].hash} -> {layouts[1].hash}"
    expected = [f"    {line}" for line in layouts[0].diff(layouts[1]).splitlines()]
    assert first[first.index(head) + 1 :] == expected
    second = lines[lines.index("view second:") + 1 :]
    assert second[0].startswith("  ~ horizontal_flip: {op: horizontal_flip, p: 0.5} -> ")
    assert command("diff", a, b, "--exit-code")[0] == 1


def test_text_does_not_count(command: Command, tmp_path: Path) -> None:
    a, same = files(tmp_path, A, SAME)
    plan = augspec.make_plan(augspec.load(a))
    code, out, err = command("diff", a, same, "--exit-code")
    assert (code, err) == (0, "")
    assert out == f"the same views and codes, plan {plan.hash}\nname: one -> renamed\n"


def test_json(command: Command, tmp_path: Path) -> None:
    a, b = files(tmp_path, A, B)
    document = json.loads(command("diff", a, b, "--json")[1])
    assert document["same"] is False
    assert document["removed"] == ["third"]
    assert document["added"] == ["fourth"]
    changes = {(c["path"], c["kind"]): c for c in document["views"][0]["ops"]}
    assert changes["grayscale", "moved"]["places"] == [3, 1]
    assert changes["color_jitter", "changed"]["fields"] == {"brightness": [[0.6, 1.4], [0.5, 1.4]]}
    assert changes["one_of.invert", "removed"]["ops"] == [{"op": "invert", "p": 0.5}, None]
    assert json.loads(command("diff", a, a, "--json")[1])["same"] is True


def test_set_changes_the_second(command: Command, tmp_path: Path) -> None:
    (a,) = files(tmp_path, A)
    code, out, _ = command("diff", a, a, "--set", "views.first.ops.grayscale.p=0.1", "--exit-code")
    assert code == 1
    assert "  ~ grayscale: p 0.2 -> 0.1\n  code: the same, layout " in out


def test_draws_of_another_view() -> None:
    text = "version: 1\nname: a\nviews:\n  a: {ops: [{op: solarize}]}\n  b: {ops: [{op: solarize}]}"
    like = text.replace("  b: {ops: [{op: solarize}]}", "  b: {like: a}")
    found = diff(augspec.loads(text), augspec.loads(like))
    assert not found.same
    (change,) = found.views[0].ops
    assert change.line() == "~ solarize: draws as null -> a"


def test_a_size_of_images_changes_no_code() -> None:
    found = diff(augspec.loads(A), augspec.loads(A.replace("views:", "image: {size: 32}\nviews:")))
    assert found.same
    assert found.fields == {"image.size": (None, 32)}
    assert found.views == ()


def test_mistakes_of_both_files_are_listed(command: Command, tmp_path: Path) -> None:
    a, b = files(tmp_path, A.replace("p: 0.8", "p: 8"), B.replace("p: 0.25", "p: 25"))
    code, out, err = command("diff", a, b)
    assert (code, out) == (2, "")
    assert f"{a}:7:" in err
    assert f"{b}:8:" in err

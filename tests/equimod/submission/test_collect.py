"""One table over real runs: what is in it, what is missing, and what is refused."""

from __future__ import annotations

import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image
from scipy import stats

from equimod.config import load_run
from equimod.report.collected import Collected, Row
from equimod.report.results import read_summary, write_summary
from equimod.submission.collect import CollectError, collect, collect_runs
from equimod.submission.points import FILE, expand, write_points
from equimod.submission.settings import SettingsError
from equimod.training.commands import train_run

SEEDS, SWEEP = "0-2", "training.epochs=0,1"
QUICK = [
    "evaluation={knn: {k: 5}, linear: null, probe: null}",
    "data={source: shapes, train: 32, test: 32, size: 16}",
]

pytestmark = pytest.mark.usefixtures("one_thread")


def train(document: Path, folder: Path, overrides: tuple[str, ...]) -> None:
    with redirect_stdout(io.StringIO()):
        assert train_run(load_run(document, [*QUICK, *overrides]), folder, restart=False) == 0


@pytest.fixture(scope="module")
def submitted(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six finished runs, two sweep points with three seeds; read only."""
    root = tmp_path_factory.mktemp("submitted") / "sweep"
    points = expand(SEEDS, [SWEEP])
    write_points(root, points)
    for point in points:
        train(tiny, root / point.name, point.overrides)
    return root


@pytest.fixture
def copy(submitted: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(submitted, tmp_path / "copy")


def ended(*roots: Path, base: str | None = None) -> tuple[int, str, str]:
    """The exit status, and what was printed."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = collect_runs(roots, base=base)
    return status, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def page(submitted: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A page to be published, and what was printed when it was made."""
    path = tmp_path_factory.mktemp("page") / "docs" / "results.md"
    out = io.StringIO()
    with redirect_stdout(out):
        assert collect_runs([submitted], report=path) == 0
    return path, out.getvalue()


def row(collected: Collected, label: str, epochs: int | None = None) -> Row:
    point = {} if epochs is None else {"training.epochs": epochs}
    rows = (*collected.rows, *collected.differences)
    return next(row for row in rows if (row.label, row.point) == (label, point))


def change(path: Path, pattern: str, text: str) -> None:
    """Replaces the first place of a pattern, which is there."""
    changed, count = re.subn(pattern, text, path.read_text(), count=1)
    assert count == 1
    path.write_text(changed)


def test_the_numbers_are_those_of_the_runs(submitted: Path) -> None:
    found = collect([submitted])
    for arm in ("simclr", "simclr+equimod"):
        for epochs in (0, 1):
            values = []
            for seed in range(3):
                name = f"training.epochs={epochs},seed={seed}"
                summary = read_summary(submitted / name / "summary.json")
                (result,) = (each for each in summary.arms if each.name == arm)
                assert result.seed == seed
                values.append(result.metrics["knn/shape"])
            shown = row(found, arm, epochs).spread("knn/shape")
            half = stats.t.ppf(0.975, 2) * stats.sem(values)
            assert shown.n == 3 and shown.mean == pytest.approx(sum(values) / 3)
            assert (shown.low, shown.high) == pytest.approx((shown.mean - half, shown.mean + half))
    assert found.paths == ("training.epochs",) and not found.missing and not found.notes


def test_equimod_less_its_base_seed_by_seed(submitted: Path) -> None:
    found = collect([submitted])
    for epochs in (0, 1):
        joined, alone = row(found, "simclr+equimod", epochs), row(found, "simclr", epochs)
        less = row(found, "simclr+equimod \N{MINUS SIGN} simclr", epochs)
        for seed in range(3):
            expected = joined.values["knn/colour"][seed] - alone.values["knn/colour"][seed]
            assert less.values["knn/colour"][seed] == expected
    assert len(found.differences) == 2


def test_a_base_may_be_chosen(submitted: Path) -> None:
    found = collect([submitted], base="simclr+equimod")
    assert {each.label for each in found.differences} == {"simclr \N{MINUS SIGN} simclr+equimod"}
    found = collect([submitted], base="random initialisation")
    assert len(found.differences) == 4
    status, _, err = ended(submitted, base="simclr+equimodd")
    assert status == 2 and "did you mean 'simclr+equimod'? (arms: simclr, " in err


def test_baselines_that_no_sweep_touches_stand_once(submitted: Path) -> None:
    found = collect([submitted])
    assert [each.arm for each in found.rows[:2]] == ["raw pixels", "random initialisation"]
    pixels = row(found, "raw pixels").spread("knn/shape")
    assert (pixels.n, pixels.std) == (1, None)
    assert row(found, "random initialisation").spread("knn/shape").n == 3
    # without training, an arm is the encoder as it is initialised
    random, start = row(found, "random initialisation"), row(found, "simclr", 0)
    assert random.values["knn/shape"] == start.values["knn/shape"]


def test_everything_is_written_and_shown(copy: Path) -> None:
    status, out, err = ended(copy)
    assert (status, err) == (0, "")
    assert "n = 3 seeds (0 to 2)" in " ".join(out.split()) and str(copy) in out
    files = {path.name for path in copy.glob("collected.*")}
    assert files == {"collected.md", "collected.csv", "collected.json", "collected.png"}
    document = json.loads((copy / "collected.json").read_text())
    first = document["arms"][2]
    assert first["arm"] == "simclr" and first["point"] == {"training.epochs": 0}
    assert not math.isnan(first["metrics"]["knn/shape"]["std"])
    assert "| 1 | simclr+equimod | 3 |" in (copy / "collected.md").read_text()
    before = {name: (copy / name).read_bytes() for name in files}
    assert ended(copy)[0] == 0
    assert {name: (copy / name).read_bytes() for name in files} == before


def test_folders_of_runs_are_a_table_too(submitted: Path) -> None:
    runs = sorted(submitted.glob("training.epochs=1,*"))
    found = collect(runs)
    assert found.paths == () and row(found, "simclr").seeds == (0, 1, 2)
    assert row(found, "simclr").values == row(collect([submitted]), "simclr", 1).values


def test_more_seeds_of_the_same_sweep_are_joined(submitted: Path, tmp_path: Path) -> None:
    for name, seeds in (("first", "0-1"), ("second", "2")):
        points = expand(seeds, [SWEEP])
        write_points(tmp_path / name, points)
        for point in points:
            shutil.copytree(submitted / point.name, tmp_path / name / point.name)
    found = collect([tmp_path / "first", tmp_path / "second"])
    assert found == collect([submitted])


def test_what_is_missing_is_counted_and_named(copy: Path) -> None:
    shutil.rmtree(copy / "training.epochs=0,seed=1")
    (copy / "training.epochs=1,seed=0" / "summary.json").unlink()
    (copy / "training.epochs=1,seed=2" / "summary.json").write_text("{")
    status, out, err = ended(copy)
    shown = " ".join(out.split())
    assert (status, err) == (1, "")
    assert "missing, not started: 1 (training.epochs=0,seed=1)" in shown
    assert "missing, not finished: 1 (training.epochs=1,seed=0)" in shown
    assert "is not a run summary" in shown and "1 (training.epochs=1,seed=2)" in shown
    assert "n = 1 or 2 seeds" in shown and "one seed has no spread" in shown
    assert "missing, not started" in (copy / "collected.md").read_text()
    assert len(json.loads((copy / "collected.json").read_text())["missing"]) == 3


def test_nothing_finished_is_said_and_nothing_written(copy: Path) -> None:
    for path in copy.glob("*/summary.json"):
        path.unlink()
    status, out, _ = ended(copy)
    assert status == 1 and "missing, not finished: 6" in " ".join(out.split())
    assert not list(copy.glob("collected.*"))


@pytest.mark.parametrize(
    ("file", "pattern", "text", "words"),
    [
        ("run.yaml", "batch_size: 16", "batch_size: 8", "training.batch_size: 8 there, 16 here"),
        ("run.yaml", "hidden: 16", "hidden: 17", "method.hidden: 17 there, 16 here"),
        ("run.yaml", "knn: {k: 5", "knn: {k: 6", "evaluation.knn.k: 6 there, 5 here"),
        ("run.yaml", r"epochs: 1\b", "epochs: 2", "training.epochs: 2 there, 1 here"),
        ("augmentations.yaml", r"0\.4, 1\.0", "0.5, 1.0", "augmentations.views"),
        ("run.yaml", r"simclr\+equimod:", "other:", "the arms: simclr, other there"),
    ],
)
def test_runs_that_differ_in_more_are_refused(
    copy: Path, file: str, pattern: str, text: str, words: str
) -> None:
    folder = copy / "training.epochs=1,seed=2"
    change(folder / file, pattern, text)
    status, out, err = ended(copy)
    assert (status, out) == (2, "") and words in err
    assert str(folder) in err and "differ in more than seed and sweep" in err
    assert not list(copy.glob("collected.*"))


def test_points_that_differ_in_more_than_the_sweep_are_refused(copy: Path) -> None:
    for folder in copy.glob("training.epochs=1,*"):
        change(folder / "run.yaml", "batch_size: 16", "batch_size: 8")
    with pytest.raises(SettingsError, match=r"training\.batch_size: 8 there, 16 here"):
        collect([copy])


def test_what_leaves_the_numbers_alone_may_differ(copy: Path) -> None:
    change(copy / "training.epochs=1,seed=2" / "run.yaml", "log_every: 4", "log_every: 7")
    change(copy / "training.epochs=1,seed=1" / "run.yaml", "name: tiny", "name: other")
    assert row(collect([copy]), "simclr", 1).seeds == (0, 1, 2)


@pytest.mark.parametrize(
    ("sweep", "pattern", "text"),
    [
        ("method={name: simclr},{name: byol}", "method:.*", "method: {name: byol, dim: 3}"),
        ("data.size=16,8", "size: 16", "size: 8"),
        ("encoder.name=small,resnet18", "encoder:.*", "encoder: {name: resnet18, more: 1}"),
        ("arms.simclr.method.dim=8,9", "dim: 8}", "dim: 9}"),
        ("augmentations.first.ops.resized_crop.area=[0.4, 1.0],[0.5, 1.0]", "^", ""),
    ],
)
def test_a_sweep_may_change_what_it_says(
    submitted: Path, tmp_path: Path, sweep: str, pattern: str, text: str
) -> None:
    points = expand("0-1", [sweep])
    write_points(tmp_path, points)
    for point, seed in zip(points, (0, 1, 0, 1), strict=True):
        shutil.copytree(submitted / f"training.epochs=1,seed={seed}", tmp_path / point.name)
    for point in points[2:]:
        change(tmp_path / point.name / "run.yaml", pattern, text)
        if sweep.startswith("augmentations"):
            change(tmp_path / point.name / "augmentations.yaml", r"0\.4, 1\.0", "0.5, 1.0")
    if not sweep.startswith("arms"):
        assert len({json.dumps(dict(each.point)) for each in collect([tmp_path]).rows}) == 3
        return
    with pytest.raises(SettingsError, match=r"arm simclr\+equimod: method\.dim"):
        collect([tmp_path])


def test_other_code_is_said(copy: Path) -> None:
    path = copy / "training.epochs=1,seed=2" / "environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "abc"}))
    (note,) = collect([copy]).notes
    assert note.startswith("not all runs had the same code: ") and "abc (1 of 6)" in note
    assert ended(copy)[0] == 0
    assert note in (copy / "collected.md").read_text()


def test_a_seed_twice_is_refused_with_both_places(copy: Path) -> None:
    one, two = copy / "training.epochs=1,seed=0", copy / "twice"
    shutil.copytree(one, two)
    with pytest.raises(CollectError, match="seed 0 of simclr is there twice") as caught:
        collect([one, two])
    assert f"in {one} and {two}" in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: (root / FILE).write_text("{"), "points.json is damaged"),
        (lambda root: (root / FILE).unlink(), "is no folder of a submission or a run"),
        (lambda root: next(root.glob("*1/run.yaml")).write_text("a: ["), "is damaged"),
        (lambda root: next(root.glob("*1/run.yaml")).write_text("arms: 3"), "is damaged"),
        (lambda root: next(root.glob("*1/augmentations.yaml")).unlink(), "cannot be read"),
    ],
)
def test_damage_is_one_message(copy: Path, spoil: Callable[[Path], object], words: str) -> None:
    spoil(copy)
    status, out, err = ended(copy)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and words in err and str(copy) in err


def test_folders_that_are_none_are_named(submitted: Path) -> None:
    status, _, err = ended(submitted.with_name("sweeep"))
    assert status == 2 and "did you mean 'sweep'?" in err
    run = submitted / "training.epochs=0,seed=0"
    with pytest.raises(CollectError, match=r"sweeps training\.epochs, but .* sweeps nothing"):
        collect([submitted, run])


def test_what_cannot_be_written_is_one_message(copy: Path) -> None:
    (copy / "file").write_text("")
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = collect_runs([copy], out=copy / "file")
    assert (status, out.getvalue()) == (2, "") and err.getvalue().startswith("error: ")


@pytest.fixture
def many(submitted: Path, tmp_path: Path) -> Path:
    """100 finished points, copies with other seeds."""
    points = expand("0-19", ["training.epochs=1,2,3,4,5"])
    write_points(tmp_path, points)
    source = submitted / "training.epochs=1,seed=0"
    summary = read_summary(source / "summary.json")
    for point in points:
        folder, seed = tmp_path / point.name, point.values["seed"]
        folder.mkdir()
        for name in ("run.yaml", "augmentations.yaml", "environment.json"):
            shutil.copy(source / name, folder / name)
        change(folder / "run.yaml", r"(?m)^seed: 0", f"seed: {seed}")
        change(folder / "run.yaml", r"epochs: 1\b", f"epochs: {point.values['training.epochs']}")
        kinds = {
            kind: tuple(arm.model_copy(update={"seed": seed}) for arm in arms)
            for kind, arms in (("arms", summary.arms), ("baselines", summary.baselines))
        }
        write_summary(folder / "summary.json", summary.model_copy(update=kinds))
    return tmp_path


def test_a_hundred_points_take_a_moment_and_no_torch(many: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from equimod.submission.collect import collect
start = time.perf_counter()
found = collect([Path(sys.argv[1])])
print(time.perf_counter() - start, len(found.rows), "torch" in sys.modules)
"""
    command = [sys.executable, "-c", program, str(many)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, rows, torch = done.stdout.split()
    assert torch == "False" and int(rows) >= 10
    assert float(seconds) < 3


def test_the_page_has_the_tables_and_says_how_they_were_made(
    submitted: Path, page: tuple[Path, str]
) -> None:
    path, printed = page
    text = path.read_text(encoding="utf-8")
    tables = (submitted / "collected.md").read_text().split("\n", 2)[2].strip()
    assert text.startswith("# tiny\n") and tables in text
    assert f"*Made by `equimod collect {submitted} --report {path}`" in text
    assert "| simclr | none |" in text
    assert "| simclr+equimod | `{equimod: {hidden: 16, dim: 8}}` |" in text
    for recorded in (f"torch {version('torch')}", f"{os.cpu_count()} cores", "no GPU"):
        assert recorded in text
    assert "commit of the code: `" in text
    seconds = sum(
        2 * 16 / arm.metrics["throughput/images_per_second"]  # two steps of 16 images
        for summary in submitted.glob("*/summary.json")
        for arm in read_summary(summary).arms
        if "throughput/images_per_second" in arm.metrics
    )
    assert f"- time: {seconds / 60:,.1f} minutes for 6 trainings" in text
    assert f"the page: {path}, with results.png" in printed.replace("\n", "")
    with Image.open(path.parent / "results.png") as picture:
        assert min(picture.size) > 300
    assert "](results.png)" in text
    settings = text.split("```yaml\n")[1].split("```")[0]
    assert settings.strip() == min(submitted.glob("*/run.yaml")).read_text().strip()


def test_a_page_for_nothing_is_not_written(copy: Path, tmp_path: Path) -> None:
    for summary in copy.glob("*/summary.json"):
        summary.unlink()
    with redirect_stdout(io.StringIO()):
        assert collect_runs([copy], report=tmp_path / "page.md") == 1
    assert not (tmp_path / "page.md").exists()


def test_a_page_that_cannot_be_written_is_a_mistake(submitted: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    err = io.StringIO()
    with redirect_stderr(err), redirect_stdout(io.StringIO()):
        assert collect_runs([submitted], report=tmp_path / "file" / "page.md") == 2
    assert "page.md" in err.getvalue() or "file" in err.getvalue()

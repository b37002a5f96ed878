"""What a run leaves behind and shows: its documents, its record, its environment, its progress."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import augspec
from equimod.config import Run, load_run
from equimod.data import DataError
from equimod.records import read_metrics
from equimod.training import environment
from equimod.training.folder import RunFolder, to_yaml
from equimod.training.metrics import MetricsLog
from equimod.training.progress import ArmProgress

NUMBERS = st.floats(1e-12, 1e6) | st.integers(1, 1000)
METHODS = st.fixed_dictionaries(
    {"name": st.just("simclr")}, optional={"temperature": NUMBERS, "hidden": st.integers(1, 9)}
) | st.fixed_dictionaries(
    {"name": st.just("byol")}, optional={"ema_start": st.floats(0, 1), "hidden": st.integers(1, 9)}
)
OPTIMIZERS = (
    st.fixed_dictionaries({"name": st.just("lars")}, optional={"trust_coefficient": NUMBERS})
    | st.fixed_dictionaries({"name": st.just("sgd")}, optional={"nesterov": st.booleans()})
    | st.fixed_dictionaries({"name": st.just("adamw")}, optional={"lr": NUMBERS})
)
EVALUATION = {
    "knn": st.none() | st.fixed_dictionaries({"k": st.integers(1, 50)}),
    "probe": st.none() | st.just({"retrieval": {"images": 5}}),
    "baselines": st.lists(st.sampled_from(["pixels", "random"]), unique=True),
}
ARMS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "description": st.text(),
        "seed": st.integers(0, 2**32 - 1),
        "method": METHODS,
        "equimod": st.none() | st.fixed_dictionaries({}, optional={"weight": NUMBERS}),
        "encoder": st.just({"name": "resnet18", "stem": "imagenet"}),
        "training": st.fixed_dictionaries({}, optional={"optimizer": OPTIMIZERS}),
        "evaluation": st.fixed_dictionaries({}, optional=EVALUATION),
    },
)
NAMES = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.+-]{0,9}\Z") | st.sampled_from(
    ["null", "true", "no", "1", "1e3", "0x1f", "0o7", "1_000", "1.5", "01", ".".join("abc")]
)


def shown(run: Run) -> dict[str, object]:
    """All arms, less where the spec lies."""
    return {n: arm.model_copy(update={"augmentations": ""}) for n, arm in run.arms.items()}


def recorded(run: Run, folder: Path) -> Run:
    RunFolder(folder).record_settings(run)
    return load_run(folder / "run.yaml")


@settings(max_examples=30)
@given(
    name=NAMES,
    description=st.text(),
    shared=st.none() | st.just({"hidden": 7}),
    arms=st.dictionaries(NAMES, ARMS, max_size=3),
)
def test_the_record_reads_back_as_the_run(
    tiny: Path, tmp_path: Path, name: str, description: str, shared: object, arms: dict
) -> None:
    document = augspec.read_source(tiny).data
    document |= {"name": name, "description": description, "equimod": shared, "arms": arms}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    shutil.copy(tiny.parent / "views.yaml", tmp_path)
    run = load_run(path)
    again = recorded(run, tmp_path / "results")
    assert shown(again) == shown(run)
    assert list(again.arms) == list(run.arms)
    assert again.name == run.name
    assert again.spec == run.spec
    written = (tmp_path / "results" / "run.yaml").read_text()
    twice = recorded(again, tmp_path / "twice")
    assert shown(twice) == shown(run)
    assert (tmp_path / "twice" / "run.yaml").read_text() == written


def test_every_published_spec_reads_back(root: Path, tmp_path: Path) -> None:
    specs = sorted((root / "specs" / "augmentations").glob("*.yaml"))
    assert specs
    for path in specs:
        spec = augspec.load(path)
        assert augspec.loads(to_yaml(spec.document())) == spec


def test_the_record_is_complete(tiny: Path, tmp_path: Path) -> None:
    run = load_run(tiny, ["training.optimizer.lr=1e-05", "augmentations.normalize=null"])
    folder = RunFolder(tmp_path / "deep" / "results")
    folder.record(run)
    text = folder.document.read_text()
    assert "temperature: 0.5" in text  # a default
    assert load_run(folder.document).shared.training.optimizer.lr == 1e-5
    assert augspec.load(folder.root / "augmentations.yaml").normalize is None
    environment = json.loads(folder.environment.read_text())
    assert environment["folder"] == str(Path.cwd())
    assert environment["packages"]["torch"]
    assert folder.working_folder() == Path.cwd()


def test_the_working_folder_is_asked_for_by_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for content in (None, "", "{half", "[]", "{}"):
        if content is not None:
            folder.environment.write_text(content)
        with pytest.raises(DataError, match=r"environment\.json, which says in which"):
            folder.working_folder()


def test_clear_leaves_what_is_not_the_runs(tiny: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for name in ("simclr/last.safetensors", "other/notes.txt", "summary.json", "mine.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    folder.clear(load_run(tiny))
    assert {p.name for p in tmp_path.rglob("*")} == {"other", "notes.txt", "mine.txt"}


def test_the_commit_is_that_of_the_code(tmp_path: Path) -> None:
    """Code that lies untracked in somebody's checkout is not of that checkout's commit."""

    def git(*words: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True)

    def commit() -> str | None:
        spec = importlib.util.spec_from_file_location("copied", copy)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module._commit()

    copy = tmp_path / "copied.py"
    shutil.copy(environment.__file__, copy)
    if commit() is not None:
        pytest.skip("the temporary folder lies in a checkout")
    git("init", "-q")
    (tmp_path / "theirs").write_text("x")
    git("add", "theirs")
    git("commit", "-qm", "theirs")
    assert commit() is None
    git("add", "copied.py")
    git("commit", "-qm", "ours")
    head = commit()
    assert head is not None
    assert len(head) == 40
    copy.write_text(copy.read_text() + "\n")
    assert commit() == head + "+"


def test_metrics_are_appended_and_later_ones_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_metrics(path) == []
    log = MetricsLog(tmp_path, 0)
    for step in range(1, 6):
        log.write(step, step / 3, **{"loss/total": 1 / step})
    log.close()
    with path.open("a") as file:
        file.write('{"step": 6, "epo')  # killed while it wrote
    assert [r["step"] for r in read_metrics(path)] == [1, 2, 3, 4, 5]
    time.sleep(1.1)  # TensorBoard orders its files by the second in which they were begun
    log = MetricsLog(tmp_path, 3)
    assert [r["step"] for r in read_metrics(path)] == [1, 2, 3]
    log.write(4, 4 / 3, **{"loss/total": 7.0})
    assert read_metrics(path)[-1] == {"step": 4, "epoch": 1.333333, "loss/total": 7.0}
    log.close()
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, round(e.value, 3)) for e in board.Scalars("loss/total")] == [
        (1, 1.0),
        (2, 0.5),
        (3, 0.333),
        (4, 7.0),
    ]


@pytest.mark.parametrize("total", [1, 3, 10, 101])
def test_a_log_file_gets_few_lines(total: int) -> None:
    stream = io.StringIO()
    with ArmProgress(Console(file=stream, width=40), "simclr") as progress:
        for step in range(1, total + 1):
            progress.update(step, total, {"loss/total": 1.5, "images/s": 12345.6})
    lines = stream.getvalue().splitlines()
    assert len(lines) == min(total, 10)
    assert lines[-1] == f"simclr  step {total} of {total}  total 1.500  images/s 12,346"

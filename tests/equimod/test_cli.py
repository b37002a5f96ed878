"""The command line inside the test's process: what it writes, and one message for a mistake."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from equimod.cli import main, specs
from equimod.config import load_run
from equimod.data import ShapesConfig
from equimod.report.results import read_summary

QUICK = ["arms={}", "evaluation.linear=null", "evaluation.probe=null", "training.epochs=1"]


pytestmark = pytest.mark.usefixtures("one_thread")


class Ended(NamedTuple):
    status: int
    out: str
    err: str


def equimod(*words: str | Path, sets: list[str] | None = None) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    arguments = [str(word) for word in words]
    for assignment in sets or []:
        arguments += ["--set", assignment]
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(arguments)
    return Ended(end.value.code, out.getvalue(), err.getvalue())


def refused(ended: Ended, *words: str) -> None:
    """It ended with status 2 and one message, which names all of `words`."""
    text = " ".join(ended.err.replace("│", " ").split())
    assert ended.status == 2
    assert "Traceback" not in text
    assert text.count("rror") == 1, text
    for word in words:
        assert word in text


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory) -> tuple[Path, Ended]:
    """The folder of a finished run, read only, and what the command printed."""
    folder = tmp_path_factory.mktemp("trained") / "results"
    ended = equimod("train", tiny, "--out", folder, sets=["training.evaluate_every=1"])
    return folder, ended


@pytest.fixture
def copy(trained: tuple[Path, Ended], tmp_path: Path) -> Path:
    """A finished run to work on."""
    shutil.copytree(trained[0], tmp_path / "copy")
    return tmp_path / "copy"


def draw_folder(root: Path, classes: int = 2) -> Path:
    """Images of shapes in class folders."""
    for split, count in (("train", 24), ("test", 12)):
        images = ShapesConfig(size=16, train=24, test=12).build(split, root).images
        for index in range(count):
            path = root / split / f"class {index % classes}" / f"{index}].png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[index].permute(1, 2, 0).numpy()).save(path)
    return root


def test_train_writes_everything(trained: tuple[Path, Ended]) -> None:
    folder, ended = trained
    assert ended.status == 0
    assert ended.err == ""
    for text in ("simclr+equimod  step 12 of 12  total ", "96 train images 16x16", "results in "):
        assert text in ended.out
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {n for n in names if "tensorboard" not in n} == {
        ".lock",
        "augmentations.yaml",
        "environment.json",
        "overview.png",
        "run.yaml",
        "simclr+equimod/best.safetensors",
        "simclr+equimod/checkpoints.jsonl",
        "simclr+equimod/last.safetensors",
        "simclr+equimod/metrics.jsonl",
        "simclr/best.safetensors",
        "simclr/checkpoints.jsonl",
        "simclr/last.safetensors",
        "simclr/metrics.jsonl",
        "summary.json",
        "summary.md",
    }
    summary = read_summary(folder / "summary.json")
    assert [row.name for row in summary.rows] == [
        "raw pixels",
        "random initialisation",
        "simclr",
        "simclr+equimod",
    ]
    plain, both = summary.arms
    for name in ("linear/shape", "knn/colour", "probe/absolute", "throughput/images_per_second"):
        assert name in plain.metrics
    assert "equimod" not in str(plain.metrics)
    assert "equivariance/absolute" in both.metrics
    assert set(both.per_augmentation) == {"resized_crop", "horizontal_flip", "color_jitter"}
    assert [entry["epoch"] for entry in both.history] == [1, 2]
    for entry in both.history:
        assert {"loss/total", "loss/invariance", "loss/equivariance", "knn/shape"} < entry.keys()
        total = entry["loss/invariance"] + entry["loss/equivariance"]
        assert entry["loss/total"] == pytest.approx(total, rel=1e-6)
    assert both.history[-1]["knn/shape"] == both.metrics["knn/shape"]


def test_eval_gives_the_same_numbers(trained: tuple[Path, Ended], copy: Path) -> None:
    before = (copy / "summary.json").read_bytes()
    for name in ("summary.json", "summary.md", "overview.png"):
        (copy / name).unlink()
    ended = equimod("eval", copy)
    assert (ended.status, ended.err) == (0, "")
    assert (copy / "summary.json").read_bytes() == before
    assert (copy / "run.yaml").read_bytes() == (trained[0] / "run.yaml").read_bytes()
    assert (copy / "overview.png").is_file()


def test_a_finished_run_is_only_measured_again(tiny: Path, copy: Path) -> None:
    before = (copy / "summary.json").read_bytes()
    ended = equimod("train", tiny, "--out", copy, sets=["training.evaluate_every=1"])
    assert ended.status == 0
    assert "step" not in ended.out
    assert (copy / "summary.json").read_bytes() == before


def test_the_record_repeats_the_run(trained: tuple[Path, Ended], tmp_path: Path) -> None:
    ended = equimod("train", trained[0] / "run.yaml", "--out", tmp_path / "again")
    assert ended.status == 0
    for name in ("run.yaml", "augmentations.yaml", "simclr/metrics.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (trained[0] / name).read_bytes()
    mine, theirs = (read_summary(f / "summary.json") for f in (tmp_path / "again", trained[0]))
    for a, b in zip(mine.rows, theirs.rows, strict=True):
        speed = {"throughput/images_per_second": 0}
        assert a.metrics | speed == b.metrics | speed


def test_eval_records_what_it_measured(copy: Path) -> None:
    changed = ["evaluation.knn.k=3", "evaluation.probe=null", "evaluation.baselines=[]"]
    assert equimod("eval", copy, sets=changed).status == 0
    summary = read_summary(copy / "summary.json")
    assert summary.baselines == ()
    assert not any(name.startswith("probe/") for name in summary.arms[0].metrics)
    assert load_run(copy / "run.yaml").shared.evaluation.knn.k == 3
    assert equimod("eval", copy).status == 0
    assert read_summary(copy / "summary.json") == summary


def test_eval_refuses(copy: Path, tmp_path: Path) -> None:
    refused(equimod("eval", tmp_path / "nowhere"), "nowhere is no run folder: it has no run.yaml")
    refused(equimod("eval", tmp_path), "is no run folder")
    refused(equimod("eval", copy, sets=["seed=1"]), "cannot change 'seed=1'")
    refused(equimod("eval", copy, sets=["training.epochs=9"]), "only evaluation.* and data.*")
    refused(equimod("eval", copy, sets=["evaluation.knn.kk=9"]), "did you mean 'k'")
    refused(equimod("eval", copy, sets=["data.seed=9"]), "differs in: the data")
    (copy / "simclr" / "last.safetensors").unlink()
    refused(equimod("eval", copy), "no checkpoint at", "simclr/last.safetensors")
    (copy / "environment.json").unlink()
    refused(equimod("eval", copy), "environment.json, which says in which folder")
    (copy / "run.yaml").write_text("version: [")
    refused(equimod("eval", copy), "run.yaml:1")


def test_mistakes_in_the_document(tiny: Path, tmp_path: Path) -> None:
    refused(equimod("train", tiny.with_name("tiny.yml")), "no such file", "did you mean", str(tiny))
    refused(equimod("train", tmp_path), "cannot read")
    (tmp_path / "bad.yaml").write_text("version: 1\nname: [x\n")
    refused(equimod("train", tmp_path / "bad.yaml"), "bad.yaml:")
    refused(equimod("train", tiny, sets=["training.epoch=3"]), "--set:1:10", "mean 'epochs'")
    refused(equimod("train", tiny, sets=["training.epochs"]), "--set:1", "path=value")
    refused(equimod("train", tiny, sets=["training.epochs=two"]), "must be an integer, got 'two'")


def test_mistakes_in_the_words(tiny: Path) -> None:
    refused(equimod("trian"), 'Unknown command "trian"', 'Did you mean "train"')
    refused(equimod("train", tiny, "--ouy", "x"), "--ouy")
    refused(equimod("train", tiny, "extra", "more"), "extra")
    refused(equimod("eval"), "run")
    assert equimod("--version").out.strip()
    assert "train" in equimod("--help").out


def test_devices_that_are_not_there(tiny: Path, tmp_path: Path) -> None:
    sets = ["training.accelerator=cuda", "training.devices=99"]
    ended = equimod("train", tiny, "--out", tmp_path / "x", sets=sets)
    refused(ended, "99 processes on this machine want a GPU each, found")


def test_a_folder_that_cannot_be_written(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused(equimod("train", tiny, "--out", tmp_path / "file"), str(tmp_path / "file"))
    refused(equimod("train", tiny, "--out", tmp_path / "file" / "sub"), str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"


def test_data_that_do_not_fit(tiny: Path, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "results"]
    nowhere = f"data={{source: parquet, path: {tmp_path / 'nowhere'}}}"
    refused(equimod("train", tiny, *out, sets=[nowhere]), str(tmp_path / "nowhere"), "not exist")
    refused(equimod("train", tiny, *out, sets=["training.batch_size=97"]), "batch_size 97 is large")
    large = [f"augmentations.views.{view}.size=32" for view in ("original", "flipped")]
    large += ["augmentations.image.size=32"]
    sized = equimod("train", tiny, *out, sets=large)
    refused(sized, "images of 32x32 (image.size), the data have 16x16")
    few = equimod("train", tiny, *out, sets=["evaluation.probe.batch_size=65"])
    refused(few, "probe.batch_size is 65, but the probe has only 64 rendered")
    view = "{ops: [{op: horizontal_flip}]}"
    spec = [f"augmentations.views={{original: {{}}, first: {view}, second: {view}}}"]
    spec += ["augmentations.image.channels=1"]
    refused(equimod("train", tiny, *out, sets=spec), "images of 1 channel", "read as RGB")
    one = draw_folder(tmp_path / "one", classes=1)
    data = f"data={{source: folder, path: {one}, size: 16}}"
    refused(equimod("train", tiny, *out, sets=[data]), "have the same class", "linear=null")
    assert not (tmp_path / "results").exists()


def test_a_training_that_diverges(tiny: Path, tmp_path: Path) -> None:
    sets = [*QUICK, "training.optimizer.lr=1e30", "training.warmup_epochs=0"]
    ended = equimod("train", tiny, "--out", tmp_path, sets=sets)
    refused(ended, "the loss is nan at step 2: try a lower learning rate or a longer warm-up")
    assert not list(tmp_path.rglob("*.safetensors"))
    last = [*sets, "training.batch_size=96"]  # one step, whose loss is finite
    steep = [*last, "training.optimizer.lr=3e38", "method.temperature=0.001"]
    ended = equimod("train", tiny, "--out", tmp_path, sets=steep)
    refused(ended, "the weights are not finite at step 1: try a lower learning rate")
    ended = equimod("train", tiny, "--out", tmp_path, sets=[*last, "training.optimizer.lr=1e30"])
    refused(ended, "the encoder's features of the train split are not finite")


def test_restart_checks_before_it_deletes(tiny: Path, copy: Path) -> None:
    changed = ["training.optimizer.lr=0.1"]
    refused(
        equimod("train", tiny, "--out", copy, sets=changed), "optimizer.lr: 0.05 there", "--restart"
    )
    before = (copy / "summary.json").read_bytes()
    spoilt = [*changed, "training.batch_size=97"]
    refused(equimod("train", tiny, "--out", copy, "--restart", sets=spoilt), "batch_size 97")
    assert (copy / "summary.json").read_bytes() == before
    assert equimod("train", tiny, "--out", copy, "--restart", sets=changed).status == 0
    assert (copy / "summary.json").read_bytes() != before
    assert load_run(copy / "run.yaml").shared.training.optimizer.lr == 0.1


def test_corrupt_images_are_counted(tiny: Path, tmp_path: Path) -> None:
    root = draw_folder(tmp_path / "[bold]pictures[")
    for split in ("train", "test"):
        broken = root / split / "class 0" / "0].png"
        broken.write_bytes(broken.read_bytes()[:60])
    sets = [*QUICK, f"data={{source: folder, path: '{root}', size: 16}}", "training.batch_size=8"]
    ended = equimod("train", tiny, "--out", tmp_path / "out", sets=sets)
    assert (ended.status, ended.err) == (0, "")
    assert "folder [bold]pictures[, 24 train images 16x16, 2 classes" in ended.out
    for split in ("train", "test"):
        assert f"{split} split: 1 corrupt image was skipped:" in ended.out
        assert f"  {root / split / 'class 0' / '0].png'}: " in ended.out
    strict = [*sets, "training.on_corrupt=raise"]
    ended = equimod("train", tiny, "--out", tmp_path / "strict", sets=strict)
    refused(ended, "cannot decode the image", str(root / "train" / "class 0" / "0].png"))


def test_images_without_labels(tiny: Path, tmp_path: Path) -> None:
    root = draw_folder(tmp_path / "flat")
    for path in list(root.rglob("*.png")):
        path.rename(path.parents[1] / path.name)
    for folder in [*root.glob("*/class *")]:
        folder.rmdir()
    sets = [f"data={{source: folder, path: '{root}', size: 16}}", "training.batch_size=8"]
    ended = equimod("train", tiny, "--out", tmp_path / "out", sets=[*sets, "training.epochs=1"])
    assert (ended.status, ended.err) == (0, "")
    metrics = read_summary(tmp_path / "out" / "summary.json").arms[0].metrics
    assert not any(name.startswith(("knn/", "linear/")) for name in metrics)
    assert "probe/retrieval_mrr" in metrics


def test_no_epochs_measure_the_initialisation(tiny: Path, tmp_path: Path) -> None:
    sets = ["arms={}", "training.epochs=0", "evaluation.probe=null"]
    assert equimod("train", tiny, "--out", tmp_path, sets=sets).status == 0
    summary = read_summary(tmp_path / "summary.json")
    (arm,) = summary.arms
    assert arm.metrics == summary.baselines[1].metrics
    assert equimod("eval", tmp_path).status == 0
    assert read_summary(tmp_path / "summary.json") == summary


def test_results_go_to_runs_by_name(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sets = ["arms={}", "training.epochs=0", "name=mine", "evaluation={knn: {k: 1}, linear: null}"]
    sets += ["evaluation.probe=null", "evaluation.baselines=[]"]
    ended = equimod("train", tiny, sets=sets)
    assert ended.status == 0
    assert "results in runs/mine (look at overview.png)" in ended.out
    recorded = json.loads(Path("runs/mine/environment.json").read_text())
    assert recorded["folder"] == str(tmp_path)


def test_relative_data_paths_start_where_the_run_was_started(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_folder(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    sets = [*QUICK, "data={source: folder, path: pictures, size: 16}", "training.batch_size=8"]
    assert equimod("train", tiny, "--out", "out", sets=sets).status == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert equimod("eval", "../out").status == 0
    (tmp_path / "pictures").rename(tmp_path / "moved")
    refused(equimod("eval", "../out"), str(tmp_path / "pictures"), "does not exist")
    assert equimod("eval", "../out", sets=["data.path=moved"]).status == 0
    assert equimod("eval", "../out").status == 0


def test_the_quickstart_is_found(root: Path) -> None:
    assert specs() == root / "specs"
    assert load_run(specs() / "runs" / "quickstart.yaml").name == "quickstart"

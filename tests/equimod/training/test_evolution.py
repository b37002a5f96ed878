"""A trained head reads the codes of another spec where that is exact, and refuses otherwise."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import augspec
from augspec import Layout, LayoutMismatchError, Pipeline, Spec
from equimod.cli import main
from equimod.config import load_run
from equimod.data import batches
from equimod.evaluation import Embedder, EquivarianceConfig, evaluate_head, evaluating
from equimod.report.results import read_summary
from equimod.training.learner import Learner
from equimod.training.trained import trained_learner
from equimod.training.trainer import Trainer

ARM = "simclr+equimod"
CROP: dict[str, Any] = {"op": "resized_crop", "size": 16, "area": [0.4, 1.0]}
FLIP: dict[str, Any] = {"op": "horizontal_flip", "p": 0.5}
FACTORS = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}
JITTER: dict[str, Any] = {"op": "color_jitter", "p": 0.8, **FACTORS, "hue": 0.1}
GRAY: dict[str, Any] = {"op": "grayscale", "p": 0.5}
NO_FLIP = {**FLIP, "p": 0.0}
Read = Callable[..., Learner]


def document(*ops: dict[str, Any]) -> str:
    """A spec with the views and the normalisation of the tiny run, and these ops."""
    views = {"original": {"ops": []}, "first": {"ops": [*ops]}, "second": {"ops": [*ops]}}
    normalize = {"mean": [0.5], "std": [0.25]}
    return json.dumps({"version": 1, "name": "t", "normalize": normalize, "views": views})


def spec(*ops: dict[str, Any]) -> Spec:
    return augspec.loads(document(*ops))


def layout(*ops: dict[str, Any]) -> Layout:
    return pipeline(*ops).layouts["first"]


def pipeline(*ops: dict[str, Any]) -> Pipeline:
    return augspec.compile(spec(*ops), seed=3)


@pytest.fixture(scope="module")
def folder(tiny: Path, make_trainer, tmp_path_factory) -> Path:
    """Of an arm that was trained on crop, flip and jitter, in this order."""
    folder = tmp_path_factory.mktemp("evolution")
    make_trainer(load_run(tiny), folder, ARM).run()
    return folder


@pytest.fixture(scope="module")
def read(tiny: Path, folder: Path) -> Read:
    """Reads the arm back, its head for codes of these ops."""
    run = load_run(tiny)
    data = run.shared.data.build("train", run.base)

    def learner(*ops: dict[str, Any], **renames: str) -> Learner:
        reads = layout(*ops) if ops else None
        cpu = torch.device("cpu")
        config = run.arms[ARM]
        found, _ = trained_learner(
            config, run.spec, data, folder, cpu, reads=reads, renames=renames
        )
        return found.eval()

    return learner


def predictions(learner: Learner, *ops: dict[str, Any]) -> torch.Tensor:
    """Of 32 test codes: draws are keyed by sample and op, so they are the same in every spec."""
    codes = pipeline(*ops).draw(torch.arange(32), 2**31, (16, 16))["first"]
    y0 = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return learner.equimod.predict(y0, codes)


def measured(tiny: Path, learner: Learner, *ops: dict[str, Any]) -> dict[str, float]:
    """A real evaluation on the test split, with views rendered by a spec of these ops."""
    run = load_run(tiny)
    test = run.shared.data.build("test", run.base)
    once = partial(batches, test, batch_size=32, seed=3, epoch=0, shuffle=False, drop_last=False)
    views = ("first", "second")
    embedder = Embedder(learner.encoder, learner.equimod, pipeline(*ops), "original", views)
    result = evaluate_head(embedder, once, EquivarianceConfig(retrieval=None))
    singles = {f"{op}/absolute": m.absolute for op, m in result.per_augmentation.items()}
    return result.metrics() | singles


# The sums of a layer's products come in another order, so the last bits of float32 may differ.
CLOSE = {"rtol": 0, "atol": 1e-6}


@pytest.mark.parametrize("order", [(FLIP, CROP, JITTER), (JITTER, FLIP, CROP)])
def test_reordered_ops(read: Read, order: tuple[dict[str, Any], ...]) -> None:
    before, after = read(), read(*order)
    theirs = predictions(before, CROP, FLIP, JITTER)
    torch.testing.assert_close(predictions(after, *order), theirs, **CLOSE)
    assert (predictions(before, *order) - theirs).abs().max() > 0.1  # unmapped, it reads nonsense
    assert after.equimod.code_dim == before.equimod.code_dim
    for name, tensor in before.state_dict().items():
        moved = name == "equimod.predictor.parameter_projector.0.weight"
        assert torch.equal(tensor, after.state_dict()[name]) != moved, name


def test_a_dropped_op_is_one_that_never_acts(tiny: Path, read: Read) -> None:
    before, after = read(), read(JITTER, CROP)
    theirs = predictions(before, CROP, NO_FLIP, JITTER)
    torch.testing.assert_close(predictions(after, JITTER, CROP), theirs, **CLOSE)
    assert after.equimod.code_dim == before.equimod.code_dim - 1
    # the whole evaluation, views and all; without the flip, the order of the rest is the same
    expected = measured(tiny, before, CROP, NO_FLIP, JITTER)
    found = measured(tiny, read(CROP, JITTER), CROP, JITTER)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert "color_jitter/absolute" in found and "horizontal_flip/absolute" not in found
    assert measured(tiny, before, CROP, FLIP, JITTER) != pytest.approx(expected, rel=1e-3)


def test_the_head_is_a_copy_and_trains(read: Read) -> None:
    before = read()
    slots = augspec.slot_map(layout(CROP, FLIP, JITTER), layout(JITTER))
    copy = before.equimod.reading(slots)
    assert before.equimod.code_dim == layout(CROP, FLIP, JITTER).width
    with evaluating(copy):
        yhat = copy.predict(torch.randn(4, 8), torch.zeros(4, layout(JITTER).width))
    yhat.square().sum().backward()
    weight = copy.predictor.parameter_projector[0].weight
    assert weight.requires_grad and weight.grad is not None
    assert not any(p.grad is not None for p in before.equimod.parameters())


@pytest.mark.parametrize(
    ("ops", "lines"),
    [
        (
            (CROP, FLIP, JITTER, GRAY),
            ["what is only in the first has no weights", "- grayscale.gray: only in the first"],
        ),
        (
            ({**CROP, "op": "erase", "id": "resized_crop"}, FLIP),
            ["~ resized_crop.height: unit image height -> source height, codec linear -> log"],
        ),
        (
            (CROP, FLIP, {**JITTER, "id": "jitter"}),
            ["- jitter.hue: only in the first", "+ color_jitter.hue: only in the second"],
        ),
    ],
    ids=["added", "codec", "renamed"],
)
def test_what_it_cannot_read(read: Read, folder: Path, ops: Any, lines: list[str]) -> None:
    ops = tuple({k: v for k, v in op.items() if (op["op"], k) != ("erase", "size")} for op in ops)
    with pytest.raises(LayoutMismatchError) as error:
        read(*ops)
    message = str(error.value).splitlines()
    hashes = layout(CROP, FLIP, JITTER).hash, layout(*ops).hash
    where = folder / "last.safetensors"
    assert message[0] == f"checkpoint {where}: layout {hashes[0]} instead of {hashes[1]}"
    assert set(lines) <= set(message[1:])


def test_a_renamed_op_is_found_if_named(read: Read) -> None:
    ops = ({**JITTER, "id": "jitter"}, CROP, FLIP)
    after = read(*ops, color_jitter="jitter")
    code = torch.randn(8, layout(*ops).width)
    back = augspec.slot_map(layout(*ops), layout(CROP, FLIP, JITTER), {"jitter": "color_jitter"})
    y0 = torch.randn(8, 8)
    with torch.no_grad():
        theirs = read().equimod.predict(y0, back.codes(code))
        torch.testing.assert_close(after.equimod.predict(y0, code), theirs, **CLOSE)
    with pytest.raises(ValueError, match="did you mean 'color_jitter'"):
        read(*ops, color_jiter="jitter")


def test_training_does_not_go_on_with_another_layout(tiny: Path, folder: Path) -> None:
    """The optimiser's state and the batch norms are of the old codes, even if only reordered."""
    run = load_run(tiny)
    data = run.shared.data.build("train", run.base)
    Trainer.check(run.arms[ARM], run.spec, data, folder)
    with pytest.raises(LayoutMismatchError):
        Trainer.check(run.arms[ARM], spec(FLIP, CROP, JITTER), data, folder)
    with pytest.raises(LayoutMismatchError):
        trained_learner(run.arms[ARM], spec(FLIP, CROP, JITTER), data, folder, torch.device("cpu"))


def equimod(*words: str | Path) -> tuple[int, str]:
    """The exit status, and what was printed as errors."""
    err = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return end.value.code, err.getvalue()


def test_the_command_line(tiny: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    quick = ["evaluation.probe=null", "evaluation.linear=null", "evaluation.baselines=[]"]
    sets = [word for assignment in quick for word in ("--set", assignment)]
    assert equimod("train", tiny, "--out", run, *sets) == (0, "")
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    specs = {
        "without": document(CROP, JITTER),
        "off": document(CROP, NO_FLIP, JITTER),
        "gray": document(CROP, FLIP, JITTER, GRAY),
    }
    for name, text in specs.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    for name in ("without", "off"):
        assert equimod("eval", run, "--augmentations", tmp_path / f"{name}.yaml") == (0, "")
    assert {p: p.read_bytes() for p in before} == before
    plain, without, off = (
        read_summary(run / name / "summary.json") for name in ("", "with-without", "with-off")
    )
    for arm in (0, 1):
        a, b, c = (summary.arms[arm].metrics for summary in (plain, without, off))
        assert b == pytest.approx(c, rel=1e-4, abs=1e-5)
        assert a["knn/shape"] == b["knn/shape"]  # the reference view is the same
        assert without.arms[arm].history == plain.arms[arm].history
    assert (
        plain.arms[1].metrics["equivariance/absolute"]
        != off.arms[1].metrics["equivariance/absolute"]
    )
    assert set(without.arms[1].per_augmentation) == {"resized_crop", "color_jitter"}
    recorded = augspec.load(run / "with-without" / "augmentations.yaml")
    assert recorded == augspec.loads(specs["without"])

    status, said = equimod("eval", run, "--augmentations", tmp_path / "gray.yaml")
    assert (status, said.count("rror")) == (2, 1)
    assert f"{run / ARM / 'last.safetensors'}: layout" in said
    assert "- grayscale.gray: only in the first" in said
    assert not (run / "with-gray").exists()
    status, said = equimod("eval", run, "--augmentations", tmp_path / "nowhere.yaml")
    assert (status, said) == (2, f"error: no augmentation spec at {tmp_path / 'nowhere.yaml'}\n")

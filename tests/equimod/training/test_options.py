"""Every option of EquiMod trains, is resumed exactly, and does what its name says."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

import augspec
from equimod.config import Run, load_run
from equimod.data import batches
from equimod.evaluation import Embedder, EquivarianceConfig, evaluate_head
from equimod.records import read_metrics
from equimod.training.learner import Learner
from equimod.training.origin import code_layout, code_reader
from equimod.training.told import codes_of_others
from equimod.training.trained import trained_learner
from equimod.training.trainer import Trainer

STEPS = 6
BASE = ["arms={}", "training.epochs=1", "training.log_every=1", "training.warmup_epochs=0"]
SMALL = "hidden: 16, dim: 8, predictor_hidden: 16"
OPTIONS = {
    "residual": "predictor: residual",
    "film": "predictor: film",
    "low_rank": "predictor: low_rank, rank: 2",
    "cosine": "loss: cosine, stop_gradient: true",
    "vicreg": "loss: vicreg",
    "equimod's columns": "codes: {encoding: equimod, standardise: spec}",
    "cassle's columns": "codes: {encoding: cassle}, predictor: residual",
    "colour alone": "codes: {ops: [colour], standardise: spec}",
    "pair": "reference: pair",
    "pair, standardised": "reference: pair, codes: {standardise: spec, ops: [color_jitter]}",
    "pair in augself's columns": "reference: pair, predictor: film, codes: {encoding: augself}",
    "zero codes": "control: zero_codes",
    "shuffled codes": "control: shuffled_codes",
    "linear weight": "weight_schedule: linear, weight_warmup_epochs: 0.5",
    "cosine weight": "weight: 0.0, weight_schedule: cosine, weight_final: 2.0",
}


@pytest.fixture(scope="module")
def gray(tiny: Path, tmp_path_factory) -> Path:
    """The tiny run, its views with grayscale too, as the released formats have it."""
    folder = tmp_path_factory.mktemp("gray")
    spec = (tiny.parent / "views.yaml").read_text()
    jitter = next(line for line in spec.splitlines() if "color_jitter" in line)
    changed = spec.replace(jitter, f"{jitter}\n      - {{op: grayscale, p: 0.2}}")
    (folder / "views.yaml").write_text(changed)
    (folder / tiny.name).write_text(tiny.read_text())
    return folder / tiny.name


def configured(tiny: Path, options: str, *overrides: str) -> Run:
    return load_run(tiny, [*BASE, f"equimod={{{SMALL}, {options}}}", *overrides])


@pytest.mark.parametrize("name", OPTIONS)
def test_an_epoch_and_the_same_with_an_interruption(
    name: str, gray: Path, trained_with_a_stop
) -> None:
    before, expected = trained_with_a_stop(configured(gray, OPTIONS[name]), STEPS)
    unmoved = [key for key, p in before.items() if torch.equal(expected[key], p)]
    # a code of zeros leaves the layer that reads it where it was
    assert len(unmoved) == (name == "zero codes")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("weight_warmup_epochs: 0.5", [0, 2 / 3, 4 / 3, 2, 2, 2]),
        (OPTIONS["linear weight"], [0, 2 / 3, 4 / 3, 2, 4 / 3, 2 / 3]),
        ("weight_schedule: linear, weight_final: 2.0", [2] * 6),
    ],
)
def test_lambda_follows_its_schedule_and_is_recorded(
    options: str, expected: list[float], tiny: Path, tmp_path: Path, make_trainer
) -> None:
    make_trainer(configured(tiny, f"{options}, weight: 2"), tmp_path).run()
    records = [r for r in read_metrics(tmp_path / "metrics.jsonl") if "lr" in r]
    assert [r["equimod_weight"] for r in records] == pytest.approx(expected)
    for r in records:
        parts = r["loss/invariance"] + r["equimod_weight"] * r["loss/equivariance"]
        assert r["loss/total"] == pytest.approx(parts, rel=1e-5)


def passed(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, ...]]:
    """What the learner is passed in each step of a training: the codes of both views."""
    calls: list[tuple[Tensor, ...]] = []
    forward = trainer.learner.forward

    def recording(reference, views, codes, *others):
        calls.append(tuple(c.clone() for c in codes))
        assert (reference is None) == (not trainer.learner.needs_reference)
        return forward(reference, views, codes, *others)

    monkeypatch.setattr(trainer.learner, "forward", recording)
    trainer.run()
    return calls


def test_shuffled_codes_are_those_of_other_images_of_the_same_epoch(
    gray: Path, tmp_path: Path, make_trainer, monkeypatch
) -> None:
    own = make_trainer(configured(gray, "control: none"), tmp_path / "own")
    others = make_trainer(configured(gray, "control: shuffled_codes"), tmp_path / "others")
    mine, theirs = (
        [torch.cat(view) for view in zip(*passed(t, monkeypatch), strict=True)]
        for t in (own, others)
    )
    for a, b in zip(mine, theirs, strict=True):  # (96, E) each: all images, and both in one order
        assert not (a == b).all(dim=1).any()
        assert a.shape == b.shape == (96, a.shape[1])
        rows = [sorted(map(tuple, x.tolist())) for x in (a, b)]
        assert rows[0] == rows[1]
    # both views of an image get the codes of one other image
    pairs = [set(zip(*(map(tuple, v.tolist()) for v in x), strict=True)) for x in (mine, theirs)]
    assert pairs[0] == pairs[1]


def test_whose_codes_these_are_does_not_depend_on_batches(tiny: Path) -> None:
    run = load_run(tiny)
    data = run.shared.data.build("train", run.base)
    pipeline = augspec.compile(run.spec, seed=3)

    def told(epoch: int, size: int, rank: int = 0, world: int = 1) -> dict[int, list[float]]:
        found = {}
        for batch in batches(
            data, batch_size=size, seed=3, epoch=epoch, rank=rank, world_size=world
        ):
            codes = codes_of_others(pipeline, batch, len(data), seed=3, epoch=epoch)["second"]
            found |= dict(zip(batch.ids.tolist(), codes.tolist(), strict=True))
        return found

    whole = told(1, 16)
    assert len(whole) == 96
    assert told(1, 48) == told(1, 32, 0, 2) | told(1, 32, 1, 2) == whole
    assert told(0, 16) != whole


def test_zero_codes_are_zero_in_training_and_measurement(
    gray: Path, tmp_path: Path, make_trainer, monkeypatch
) -> None:
    trainer = make_trainer(configured(gray, "control: zero_codes"), tmp_path)
    calls = passed(trainer, monkeypatch)
    assert len(calls) == STEPS and not any(c.any() for codes in calls for c in codes)
    code = torch.ones(2, trainer.pipeline.layouts["first"].width)
    assert not trainer.reader.one("first", code, (16, 16)).any()


def test_a_pair_takes_two_passes_through_the_encoder(
    gray: Path, tmp_path: Path, make_trainer
) -> None:
    seen: dict[str, int] = {}
    for reference, passes in (("original", 3), ("pair", 2)):
        trainer = make_trainer(configured(gray, f"reference: {reference}"), tmp_path / reference)
        seen[reference] = 0

        def count(_, images, __, name=reference) -> None:
            seen[name] += len(images[0])

        trainer.learner.encoder.register_forward_hook(count)
        trainer.run()
        assert seen[reference] == passes * 96


@pytest.mark.parametrize("method", ["simclr", "byol"])
def test_the_method_with_as_many_encoder_passes_as_equimod(
    method: str, tiny: Path, tmp_path: Path, make_trainer
) -> None:
    sets = [*BASE, "encoder_passes=3", f"method={{name: {method}, hidden: 16, dim: 8}}"]
    trainer = make_trainer(load_run(tiny, sets), tmp_path)
    learner = trainer.learner
    g = torch.Generator().manual_seed(0)
    x = [*torch.randn(3, 8, 3, 16, 16, generator=g)]
    h = learner.features(x)
    pairs = [learner.method([x[i], x[j]], [h[i], h[j]]) for i, j in ((0, 1), (0, 2), (1, 2))]
    loss = learner(x[0], x[1:], [])["loss"]
    assert loss.item() == pytest.approx(sum(p.item() for p in pairs) / 3, rel=1e-6)
    with pytest.raises(ValueError, match="three encoder passes needs the reference"):
        learner(None, x[1:], [])
    images = []
    learner.encoder.register_forward_hook(lambda _, args, __: images.append(len(args[0])))
    trainer.run()
    assert sum(images) == 3 * 96
    with pytest.raises(Exception, match=r"equimod: null\); this EquiMod takes 3 anyway"):
        load_run(tiny, [*sets, "equimod={hidden: 16, dim: 8}"])


def test_lambda_zero_is_the_method_with_three_views(tiny: Path) -> None:
    """The gradient is that of the invariance loss alone, of the very same pass."""
    learner = Learner.from_config(configured(tiny, "weight: 0.0").shared, 5).double()
    g = torch.Generator().manual_seed(0)
    reference, *views = torch.randn(3, 8, 3, 16, 16, generator=g, dtype=torch.float64)
    codes = [*torch.randn(2, 8, 5, generator=g, dtype=torch.float64)]
    learner(reference, views, codes)["loss"].backward()
    parts = [learner.encoder, learner.method]
    found = {n: p.grad.clone() for part in parts for n, p in part.named_parameters()}
    assert not any(p.grad.any() for p in learner.equimod.parameters())
    learner.zero_grad()
    h = learner.features([reference, *views])
    learner.method(views, h[1:]).backward()
    for part in parts:
        for name, p in part.named_parameters():
            torch.testing.assert_close(found[name], p.grad, rtol=1e-12, atol=1e-14)


def test_names_in_a_run_are_checked_where_they_are_written(tiny: Path) -> None:
    with pytest.raises(augspec.SpecError) as error:
        configured(tiny, "codes: {ops: [crop, color_jiter]}")
    (diagnostic,) = error.value.diagnostics
    assert "no op 'color_jiter'; did you mean 'color_jitter'?" in diagnostic.message
    *_, line, caret = str(error.value).splitlines()
    assert line[caret.index("^") : caret.rindex("^") + 1] == "color_jiter"


@pytest.mark.parametrize("name", ["equimod's columns", "pair", "colour alone", "zero codes"])
def test_a_head_is_measured_on_what_it_reads(
    name: str, gray: Path, tmp_path: Path, make_trainer
) -> None:
    """The whole of `evaluate_head`, from the checkpoint, as `equimod eval` does it."""
    run = configured(gray, OPTIONS[name])
    config = run.shared
    make_trainer(run, tmp_path).run()
    cpu = torch.device("cpu")
    train, test = (config.data.build(split, run.base) for split in ("train", "test"))
    learner, _ = trained_learner(config, run.spec, train, tmp_path, cpu)
    pipeline = augspec.compile(run.spec, seed=config.seed)
    reader = code_reader(pipeline, config)
    embedder = Embedder(
        learner.encoder, learner.equimod, pipeline, "original", ("first", "second"), cpu, reader
    )
    once = partial(batches, test, batch_size=32, seed=3, epoch=0, shuffle=False, drop_last=False)
    found = evaluate_head(embedder, once, EquivarianceConfig(retrieval=None))
    assert math.isfinite(found.measures.absolute)
    assert set(found.per_augmentation) == {
        "resized_crop",
        "horizontal_flip",
        "color_jitter",
        "grayscale",
    }
    if learner.equimod.scaling is not None:  # of the training: a checkpoint has it
        assert learner.equimod.scaling.scale.ne(1).any()
    # of another spec, whose codes lack an op
    spec = (gray.parent / "views.yaml").read_text()
    line = next(line for line in spec.splitlines() if "horizontal_flip" in line)
    fewer = augspec.loads(spec.replace(f"{line}\n", "", 1))
    if name in ("pair", "colour alone", "zero codes"):
        reads = code_layout(augspec.make_plan(fewer), config)
        trained_learner(config, run.spec, train, tmp_path, cpu, reads=reads)


def test_a_warm_up_of_lambda_longer_than_the_run_is_refused(tiny: Path) -> None:
    with pytest.raises(Exception, match=r"must be <= training.epochs \(1\), got 2"):
        configured(tiny, "weight_warmup_epochs: 2")

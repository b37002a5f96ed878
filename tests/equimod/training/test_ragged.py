"""Training and evaluation on photographs in their original sizes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import augspec
from equimod.config import Run, load_run
from equimod.data import CorruptReport, DataError, ImageData, batches
from equimod.evaluation import Embedder, evaluate_head, knn_accuracy, mean_deviation
from equimod.training.checkpoint import load_checkpoint
from equimod.training.interrupt import InterruptedRunError, StopFlag
from equimod.training.learner import Learner
from equimod.training.measure import Bench
from equimod.training.trainer import Trainer

SPEC = """\
version: 1
name: ragged-views
normalize: {mean: [0.5], std: [0.25]}
views:
  original:
    ops:
      - {op: resize, size: 18}
      - {op: center_crop, size: 16}
  first: &view
    ops:
      - {op: resized_crop, size: 16, area: [0.2, 1.0]}
      - {op: horizontal_flip, p: 0.5}
      - {op: color_jitter, p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
      - {op: gaussian_noise, p: 0.5, sigma: [0.01, 0.1]}
  second: *view
"""
RUN = """\
version: 1
name: ragged
seed: 3
augmentations: views.yaml
data: {source: folder, path: photographs, size: original, memory_limit: 0}
encoder: {name: small}
method: {name: simclr, hidden: 16, dim: 8}
equimod: {hidden: 16, dim: 8}
training:
  epochs: 2
  batch_size: 8
  optimizer: {name: sgd, lr: 0.05}
  log_every: 1
  workers: 2
evaluation:
  knn: {k: 5}
  linear: {epochs: 2}
  equivariance: {retrieval: {images: 8, candidates: 3}}
  probe:
    {images: 32, steps: 3, batch_size: 16, hidden: 9, dim: 8, retrieval: {images: 8, candidates: 3}}
"""
TRAIN, TEST, STEPS = 36, 20, 8


def photograph(path: Path, number: int, size: tuple[int, int]) -> None:
    """A JPEG of waves, whose direction is the class."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]] / 20
    along = x if number % 2 else y
    waves = [np.sin(3 * along + number) + np.cos((x + y) * k) for k in (1.0, 1.7, 2.9)]
    pixels = (np.stack(waves, axis=-1) * 60 + 127).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=90)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on photographs of which few have one size, and one is cut short."""
    root = tmp_path_factory.mktemp("ragged")
    for split, count in (("train", TRAIN), ("test", TEST)):
        for k in range(count):
            path = root / "photographs" / split / ("wren" if k % 2 else "jay") / f"{k:02}.jpg"
            photograph(path, k, (24 + 5 * k % 31, 50 - 7 * k % 26))
    cut = root / "photographs" / "train" / "jay" / "04.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    (root / "views.yaml").write_text(SPEC)
    (root / "ragged.yaml").write_text(RUN)
    return root / "ragged.yaml"


def data_of(run: Run, split: str = "train") -> ImageData:
    data = run.shared.data.build(split, run.base)
    assert data.image_size is None and len(data.sizes.unique(dim=0)) > 10
    return data


def outcome(folder: Path) -> tuple[dict[str, Tensor], bytes]:
    checkpoint = load_checkpoint(folder / "last.safetensors")
    assert checkpoint.header["step"] == STEPS
    return checkpoint.tensors, (folder / "metrics.jsonl").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(document: Path, make_trainer, tmp_path_factory) -> tuple[Trainer, Path]:
    folder = tmp_path_factory.mktemp("undisturbed")
    trainer = make_trainer(load_run(document), folder)
    trainer.run()
    return trainer, folder


def test_a_corrupt_photograph_costs_only_itself(undisturbed: tuple[Trainer, Path]) -> None:
    trainer, _ = undisturbed
    assert trainer.step == STEPS
    assert [error.place[-6:] for error in trainer.corrupt.errors.values()] == ["04.jpg"]


@pytest.mark.parametrize("where", ["files", "memory"])
def test_interrupted_anywhere(
    document: Path, undisturbed, make_trainer: Callable[..., Trainer], tmp_path: Path, where: str
) -> None:
    """Resumed bit by bit: from files, other threads, or memory."""
    left = [1, 4, 6]
    while True:
        limit, workers = (2**30, 0) if where == "memory" else (0, len(left))
        run = load_run(document, [f"data.memory_limit={limit}", f"training.workers={workers}"])
        stop = StopFlag()

        def progress(step: int, total: int, values: dict[str, float], stop=stop) -> None:
            if step in left:
                left.remove(step)
                stop.signal = signal.SIGTERM

        try:
            make_trainer(run, tmp_path, stop=stop, progress=progress).run()
        except InterruptedRunError:
            continue
        break
    assert not left
    (tensors, record), (expected, theirs) = outcome(tmp_path), outcome(undisturbed[1])
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensors[name], tensor), name
    assert record == theirs


@pytest.mark.parametrize("world_size", [2, 4])
def test_views_do_not_depend_on_the_number_of_processes(document: Path, world_size: int) -> None:
    run = load_run(document)
    data, pipeline = data_of(run), augspec.compile(run.spec, seed=3)

    def drawn(rank: int, size: int):
        which = {"batch_size": 8, "seed": 3, "epoch": 1, "rank": rank, "world_size": size}
        for batch in batches(data, **which):
            positions = batch.positions
            yield pipeline(batch.images, ids=batch.ids, epoch=1, positions=positions)

    shards = [list(drawn(rank, world_size)) for rank in range(world_size)]
    for k, whole in enumerate(drawn(0, 1)):
        for name, view in whole.views.items():
            views = torch.cat([shard[k].views[name] for shard in shards])
            codes = torch.cat([shard[k].codes[name] for shard in shards])
            assert torch.equal(codes, whole.codes[name])
            torch.testing.assert_close(views, view, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def bench(document: Path) -> Bench:
    run = load_run(document)
    config = run.shared
    return Bench(
        train=data_of(run),
        test=data_of(run, "test"),
        pipeline=augspec.compile(run.spec, seed=config.seed),
        reference=config.views.reference,
        views=config.views.augmented,
        config=config.evaluation,
        seed=config.seed,
        device=torch.device("cpu"),
        corrupt={"train": CorruptReport(), "test": CorruptReport()},
    )


@pytest.fixture(scope="module")
def learner(document: Path, bench: Bench) -> Learner:
    config = load_run(document).shared
    return Learner.from_config(config, bench.pipeline.layouts["first"].width)


def features_one_by_one(bench: Bench, encoder: torch.nn.Module, data: ImageData):
    """Of the reference view of each photograph alone, a batch `(1, 3, H, W)`."""
    encoder.eval()
    found = []
    indices = [index for index in range(len(data)) if index not in bench.corrupt[data.split].errors]
    for index in indices:
        view = bench.pipeline.apply(data.load(index)[None], {"original": {}})["original"]
        found.append(encoder(view).detach())
    encoder.train()
    return torch.cat(found), data.labels[indices, 0]


def test_accuracies_are_those_of_the_photographs_one_by_one(bench: Bench, learner: Learner) -> None:
    accuracy = bench.knn(learner.encoder)["knn/class"]
    train, test = (
        features_one_by_one(bench, learner.encoder, d) for d in (bench.train, bench.test)
    )
    assert len(train[0]) == TRAIN - 1 and len(test[0]) == TEST
    expected = knn_accuracy(*train, *test, k=5, temperature=bench.config.knn.temperature)
    assert accuracy == pytest.approx(expected)
    assert 0 < bench.pixels().metrics["knn/class"] <= 100


def test_every_measure_of_an_encoder(bench: Bench, learner: Learner) -> None:
    metrics = bench.encoder("arm", learner.encoder).metrics
    assert {"knn/class", "linear/class", "probe/absolute", "probe/retrieval_mrr"} <= set(metrics)
    assert metrics["probe/samples"] == 2 * TEST


def test_the_monitor_looks_at_photographs_of_all_sizes(bench: Bench, learner: Learner) -> None:
    found = bench.collapse(learner.encoder, learner.attached, learner.equimod)
    features, _ = features_one_by_one(bench, learner.encoder, bench.test)
    assert found["monitor/features_std"] == pytest.approx(mean_deviation(features), rel=1e-3)
    assert -0.5 < found["monitor/shuffled_gain"] < 0.5  # the head is untrained
    assert found["monitor/shuffled_gain"] != 0


def test_equivariance_is_that_of_the_photographs_one_by_one(bench: Bench, learner: Learner) -> None:
    embedder = Embedder(learner.encoder, learner.equimod, bench.pipeline, "original", bench.views)

    def passes(batch_size: int):
        options = {"seed": 0, "epoch": 0, "shuffle": False, "drop_last": False}
        return lambda: batches(bench.test, batch_size=batch_size, **options)

    together, single = (
        evaluate_head(embedder, passes(size), bench.config.equivariance) for size in (7, 1)
    )
    assert together.metrics() == pytest.approx(single.metrics(), rel=1e-3)
    assert together.per_augmentation.keys() == single.per_augmentation.keys()
    assert together.per_augmentation.keys() >= {"resized_crop", "horizontal_flip", "color_jitter"}
    for op, measures in single.per_augmentation.items():
        # a flip leaves some photographs out: rows of a ragged batch
        assert together.per_augmentation[op].samples == measures.samples
        assert together.per_augmentation[op].absolute == pytest.approx(measures.absolute, rel=1e-2)
    assert together.per_augmentation["horizontal_flip"].samples < 2 * TEST


def test_a_reference_that_leaves_sizes_different_is_refused_before_the_start(
    document: Path,
) -> None:
    run = load_run(document, ["augmentations.views.original.ops=[{op: resize, size: 18}]"])
    data = data_of(run)
    with pytest.raises(DataError, match=r"view 'original' leaves them in different ones, such as "):
        Trainer.check(run.shared, run.spec, data, None)
    Trainer.check(run.shared, load_run(document).spec, data, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("reference: pair", "pair needs images of one size, and the data have several"),
        ("codes: {standardise: spec}", r"give `image\.size` in the augmentation spec"),
    ],
)
def test_what_a_predictor_cannot_be_told_of_images_of_many_sizes(
    document: Path, options: str, message: str
) -> None:
    run = load_run(document, [f"equimod={{hidden: 16, dim: 8, {options}}}"])
    with pytest.raises(DataError, match=message):
        Trainer.check(run.shared, run.spec, run.shared.data.build("train", run.base), None)


@pytest.mark.parametrize("name", ["cassle", "sie", "sen"])
def test_what_a_neighbour_cannot_be_told_of_images_of_many_sizes(document: Path, name: str) -> None:
    run = load_run(document, ["equimod=null", f"neighbour={{name: {name}}}"])
    with pytest.raises(DataError, match=f"'{name}' needs images of one size, and the data have"):
        Trainer.check(run.shared, run.spec, run.shared.data.build("train", run.base), None)


def test_codes_of_others_where_images_have_their_own_sizes(
    document: Path, make_trainer, tmp_path: Path
) -> None:
    sets = ["equimod={hidden: 16, dim: 8, control: shuffled_codes}", "training.epochs=1"]
    trainer = make_trainer(load_run(document, sets), tmp_path)
    trainer.run()
    assert trainer.step == trainer.total_steps > 0

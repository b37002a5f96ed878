"""Batches in files: what comes back, what is refused, and what other programs read in them."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import augspec
from augspec import Spec, ViewBatch
from augspec.codes import exchange_parquet, exchange_safetensors
from augspec.codes.exchange import SUFFIXES, load_batch, save_batch, write_batch
from augspec.codes.exchange_table import Table, to_table
from augspec.codes.record import draw_batch, rendered
from augspec.codes.reference import digest
from augspec.codes.saved import ExchangeError, SavedBatch
from augspec.compiler.checks import CodeError
from augspec.language.diagnostics import SpecError
from augspec.ops import OPS

RECIPES = Path(__file__).parents[3] / "specs" / "augmentations"
TEXT = """
version: 1
name: fields
description: "what has no code: seeds; and what is shared"
normalize: {mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3]}
views:
  original: {}
  first:
    ops:
      - {op: resized_crop, size: 12, share: pairs}
      - {op: gaussian_noise, sigma: [0.05, 0.2]}
      - {op: color_jitter, p: 0.8, brightness: 0.4, hue: 0.1}
  second:
    like: first
    redraw: [gaussian_noise]
  warped:
    size: 14
    ops:
      - {op: resize, size: 14}
      - {op: elastic, alpha: 6, sigma: [0.5, 1], share: views}
"""
BOTH = pytest.mark.parametrize("suffix", SUFFIXES)
FORMS = {".safetensors": exchange_safetensors, ".parquet": exchange_parquet}


@cache
def spec_of(name: str) -> Spec:
    return augspec.loads(TEXT) if name == "fields" else augspec.load(RECIPES / f"{name}.yaml")


def images(batch: int, channels: int = 3, size: tuple[int, int] = (20, 16)) -> Tensor:
    generator = torch.Generator().manual_seed(batch)
    return torch.randint(0, 256, (batch, channels, *size), generator=generator, dtype=torch.uint8)


def written(
    path: Path, name: str = "fields", batch: int = 4, seed: int = 3, epoch: int = 5, **options: Any
) -> tuple[ViewBatch, SavedBatch]:
    """A batch of a pipeline, and what was saved of it; the ids do not fit into float64."""
    spec = spec_of(name)
    pipeline = augspec.compile(spec, seed=seed)
    x = images(batch, spec.image.channels, spec.input_size or (20, 16))
    ids = torch.arange(batch) * 7 + 2**55 + 1
    positions = torch.arange(batch) + 3
    made = pipeline(x, ids=ids, epoch=epoch, positions=positions)
    told = {"spec": spec, "ids": ids, "epoch": epoch, "positions": positions}
    return made, save_batch(path, made, pipeline, **{**told, "images": x, **options})


def assert_same(a: SavedBatch, b: SavedBatch) -> None:
    """Every field, bit by bit."""

    def bits(tensor: Tensor) -> str:
        return digest(tensor)

    assert augspec.make_plan(a.spec) == augspec.make_plan(b.spec)
    assert a.spec == b.spec
    for name in ("plan", "seed", "epoch", "layouts", "names", "image_digests", "view_digests"):
        assert getattr(a, name) == getattr(b, name), name
    assert bits(a.ids) == bits(b.ids) and bits(a.sizes) == bits(b.sizes)
    assert (a.positions is None) == (b.positions is None)
    if a.positions is not None and b.positions is not None:
        assert bits(a.positions) == bits(b.positions)
    assert list(a.codes) == list(b.codes) and list(a.seeds) == list(b.seeds)
    for view in a.codes:
        assert bits(a.codes[view]) == bits(b.codes[view])
        assert {k: bits(s) for k, s in a.seeds[view].items()} == {
            k: bits(s) for k, s in b.seeds[view].items()
        }
    assert (a.images is None) == (b.images is None)
    assert [bits(x) for x in a.images or ()] == [bits(x) for x in b.images or ()]
    assert (a.views is None) == (b.views is None)
    for view, own in (a.views or {}).items():
        assert [bits(x) for x in own] == [bits(x) for x in (b.views or {})[view]]


@settings(max_examples=12)
@given(
    name=st.sampled_from(["fields", "simclr-cifar10", "quickstart"]),
    suffix=st.sampled_from(SUFFIXES),
    batch=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 2**32 - 1),
    keep=st.booleans(),
)
def test_everything_comes_back(
    tmp_path: Path, name: str, suffix: str, batch: int, seed: int, epoch: int, keep: bool
) -> None:
    path = tmp_path / f"batch{suffix}"
    with_views = keep and name == "fields"
    made, saved = written(path, name, batch, seed, epoch, keep_images=keep, keep_views=with_views)
    found = load_batch(path)
    assert_same(saved, found)
    assert not [p for p in tmp_path.iterdir() if p != path and p.suffix == ".tmp"]
    pipeline = found.pipeline()
    assert pipeline.seed == seed
    params = pipeline.decode(found.codes, found.seeds)
    for view, own in made.params.items():
        assert {k: digest(t) for k, t in own.items()} == {
            k: digest(t) for k, t in params[view].items()
        }
    if found.images is not None:
        again = pipeline.apply(torch.stack(found.images), params)
        assert all(torch.equal(again[view], made.views[view]) for view in made.views)
    drawn = pipeline.draw(found.ids, found.epoch, tuple(found.sizes[0].tolist()), found.positions)
    assert all(torch.equal(drawn[view], found.codes[view]) for view in drawn)


@BOTH
def test_every_op_comes_back(tmp_path: Path, suffix: str) -> None:
    """Layouts with open ranges, seeds inside combinators, ops without parameters."""
    document: dict[str, Any] = {"version": 1, "name": "all", "image": {"size": 24}, "views": {}}
    for tag, cls in OPS.items():
        for number, fields in enumerate([{}, *cls.examples]):
            view = {"ops": [{"op": tag, **fields}], "size": 24}
            try:
                augspec.loads(json.dumps({**document, "views": {"v": {**view}}}))
            except SpecError as error:
                if "ends in" not in str(error):
                    continue  # a combinator without ops, say
                view["ops"].append({"op": "resize", "size": [24, 24]})
            document["views"][f"{tag}_{number}"] = view
    spec = augspec.loads(json.dumps(document))
    pipeline, ids = augspec.compile(spec), torch.arange(5)
    codes, seeds = pipeline.draw(ids, 0, (24, 24)), pipeline.seeds(ids, 0, (24, 24))
    params = pipeline.decode(codes, seeds, strict=None)
    batch = ViewBatch({}, codes, params, seeds)
    path = tmp_path / f"batch{suffix}"
    saved = save_batch(path, batch, pipeline, spec=spec, ids=ids, epoch=0, size=(24, 24))
    found = load_batch(path)
    assert len(found.layouts) > 100
    assert_same(saved, found)
    assert found.image_digests is None and not found.view_digests


def test_other_programs_read_it(tmp_path: Path) -> None:
    made, saved = written(tmp_path / "batch.parquet", keep_views=True)
    table = pq.read_table(tmp_path / "batch.parquet")
    columns = [f"first/{name}" for name in saved.layouts["first"].column_names]
    assert "first/color_jitter.hue.sin" in columns
    read = np.stack([table.column(name).to_numpy() for name in columns], axis=1)
    assert (read.view(np.uint32) == made.codes["first"].numpy().view(np.uint32)).all()
    assert table.column("id").to_pylist() == saved.ids.tolist()
    assert table.schema.field("first/gaussian_noise.seed").type == pa.float64()
    x = images(4)
    for k, data in enumerate(table.column("image").to_pylist()):
        with Image.open(io.BytesIO(data)) as image:
            assert (np.asarray(image) == x[k].permute(1, 2, 0).numpy()).all()
    pixels = np.load(io.BytesIO(table.column("first/pixels")[1].as_py()))
    assert digest(torch.from_numpy(pixels)) == table.column("first/sha256")[1].as_py()

    _, saved = written(tmp_path / "batch.safetensors")
    with safe_open(tmp_path / "batch.safetensors", framework="np") as file:
        assert (file.get_tensor("codes/first") == saved.codes["first"].numpy()).all()
        header = json.loads(file.metadata()["augspec"])
    spec = augspec.loads(json.dumps(header["spec"]))
    assert augspec.make_plan(spec).hash == header["plan"] == saved.plan
    for name, view in header["views"].items():
        layout = augspec.Layout.from_document(name, view["slots"])
        assert layout == saved.layouts[name] and layout.hash == view["layout"]


def test_one_channel(tmp_path: Path) -> None:
    text = "{version: 1, name: a, image: {channels: 1}, views: {v: {ops: [{op: solarize}]}}}"
    spec = augspec.loads(text)
    pipeline, x, ids = augspec.compile(spec), images(2, 1), torch.arange(2)
    for suffix in SUFFIXES:
        path = tmp_path / f"batch{suffix}"
        batch = pipeline(x, ids=ids, epoch=0)
        save_batch(path, batch, pipeline, spec=spec, ids=ids, epoch=0, images=x)
        assert torch.equal(torch.stack(load_batch(path).images or ()), x)


def test_images_of_different_sizes() -> None:
    spec = spec_of("fields")
    sizes = [(20, 16), (24, 24), (20, 16), (17, 30)]
    pictures = [images(1, size=size)[0] for size in sizes]
    saved = draw_batch(spec, pictures, seed=9, epoch=2, names="abcd")
    pipeline = augspec.compile(spec, seed=9)
    for k, image in enumerate(pictures):
        alone = pipeline(image[None], ids=torch.tensor([k]), epoch=2)
        for view in alone.codes:
            assert torch.equal(alone.codes[view][0], saved.codes[view][k])
            for key, seed in alone.seeds[view].items():
                assert torch.equal(seed[0], saved.seeds[view][key][k])
    assert saved.sizes.tolist() == [[*size] for size in sizes]
    whole = rendered(saved, pictures, keep_images=True, keep_views=True)
    assert [view.shape[-1] for view in (whole.views or {})["original"]] == [16, 24, 16, 30]


# --- damage ------------------------------------------------------------------------------------


@BOTH
def test_damaged_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path, broken = tmp_path / f"batch{suffix}", tmp_path / f"broken{suffix}"
    _, saved = written(path, batch=2)
    data, chance = path.read_bytes(), random.Random(1)
    loaded = 0
    for cut in [0, 1, 7, 8, len(data) - 1, *chance.sample(range(len(data)), 60)]:
        broken.write_bytes(data[:cut])
        with pytest.raises(ExchangeError) as refused:
            load_batch(broken)
        assert str(refused.value).startswith(f"{broken}: ")
    for at in chance.sample(range(len(data)), 200):
        broken.write_bytes(
            data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        )
        try:
            found = load_batch(broken)
        except ExchangeError as error:
            assert str(error).startswith(f"{broken}: ")
        else:  # parquet has bytes that nothing depends on, such as the statistics of columns
            loaded += 1
            assert_same(saved, found)
    assert loaded < (1 if suffix == ".safetensors" else 100), loaded


@BOTH
def test_foreign_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"other{suffix}"
    with pytest.raises(ExchangeError, match=f"{path}: no such file"):
        load_batch(path)
    for content in (b"", b"PAR1", b"name: a\n" * 100):
        path.write_bytes(content)
        with pytest.raises(ExchangeError, match="damaged, or no "):
            load_batch(path)
    if suffix == ".parquet":
        pq.write_table(pa.table({"id": [1, 2]}), path)
    else:
        save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ExchangeError, match="no batch of augspec"):
        load_batch(path)


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    for name in ("batch.pt", "batch", "batch.pkl"):
        with pytest.raises(ValueError, match=r"must end in \.safetensors or \.parquet"):
            written(tmp_path / name)
        with pytest.raises(ValueError, match=r"must end in \.safetensors or \.parquet"):
            load_batch(tmp_path / name)
        assert not (tmp_path / name).exists()


def header(**changes: Any) -> Callable[[Table], None]:
    return lambda table: table.header.update(changes)


def view_header(**changes: Any) -> Callable[[Table], None]:
    return lambda table: table.header["views"]["first"].update(changes)


def number(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Table], None]:
    return lambda table: table.numbers.update({name: change(table.numbers[name])})


def spoilt(table: Table) -> None:
    table.header["spec"]["views"]["first"]["ops"][0]["op"] = "resized_cop"


def resloted(table: Table) -> None:
    table.header["views"]["first"]["slots"][0]["unit"] = "acre"


def not_a_number(codes: Tensor) -> Tensor:
    return torch.where(torch.arange(len(codes))[:, None] == 2, torch.nan, codes)


@BOTH
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (header(format=2), "has format 2, and this version reads 1"),
        (header(seed=-1), "its header is not that of a batch: seed"),
        (header(more=1), "its header is not that of a batch: more"),
        (header(samples=5), ", and its header asks for (5,"),
        (spoilt, "did you mean 'resized_crop'?"),
        (view_header(layout="0" * 16), "the layout of view 'first' does not match its hash"),
        (view_header(slots=[]), "the layout of view 'first' does not match its hash"),
        (view_header(slots=[{"op": 3}]), "the layout of view 'first' does not match its hash"),
        (resloted, "the layout of view 'first' does not match its hash"),
        (number("codes/first", not_a_number), "not finite, in sample 2"),
        (number("seeds/first/gaussian_noise.seed", lambda s: s / 0), "not finite, in sample 0"),
        (number("seeds/first/gaussian_noise.seed", lambda s: s.float()), "seed"),
        (number("id", lambda ids: ids.double()), "id"),
        (lambda t: t.numbers.pop("height"), "has no 'height'"),
        (lambda t: t.texts.pop("name"), "has no 'name'"),
        (lambda t: t.arrays.pop("pixels/second"), "has no 'pixels/second'"),
        (lambda t: t.texts.update({"sha256/third": t.texts["name"]}), "third"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    tmp_path: Path, suffix: str, change: Callable[[Table], None], message: str
) -> None:
    """Files that are whole, with contents of other versions or of other programs."""
    path = tmp_path / f"batch{suffix}"
    _, saved = written(path, keep_views=True)
    table = to_table(saved)
    layouts = json.dumps(table.header["views"])
    change(table)
    table.header["content"] = table.content()
    if suffix == ".parquet" and json.dumps(table.header["views"]) != layouts:
        # what writes the columns needs the layout: only the text in the metadata is another one
        content = pq.read_table(path).replace_schema_metadata(
            {exchange_parquet.METADATA: json.dumps(table.header).encode()}
        )
        pq.write_table(content, path)
    elif suffix == ".parquet" and table.header["format"] != 1:
        content = pq.read_table(path).replace_schema_metadata({b"augspec": b'{"format": 2}'})
        pq.write_table(content, path)
    else:
        try:
            path.write_bytes(FORMS[suffix].dump(table))
        except ExchangeError:  # a header that parquet cannot even be written with
            assert suffix == ".parquet" and "header" in message
            return
    with pytest.raises(ExchangeError) as refused:
        load_batch(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)


def test_columns_that_are_not_those_of_the_layout(tmp_path: Path) -> None:
    path = tmp_path / "batch.parquet"
    written(path)
    whole = pq.read_table(path)

    def refusal(table: pa.Table) -> str:
        pq.write_table(table, path)
        with pytest.raises(ExchangeError) as refused:
            load_batch(path)
        return str(refused.value)

    name = "first/color_jitter.hue.sin"
    renamed = ["first/hue" if n == name else n for n in whole.column_names]
    assert f"has no column '{name}'" in refusal(
        whole.rename_columns(renamed).replace_schema_metadata(whole.schema.metadata)
    )
    assert f"has no column '{name}'" in refusal(whole.drop_columns([name]))
    assert "has a column 'note', unknown here" in refusal(
        whole.append_column("note", pa.array(["a"] * 4))
    )
    place = whole.column_names.index(name)
    wide = whole.set_column(place, name, whole.column(name).cast(pa.float64()))
    assert f"column '{name}' should be float, without nulls" in refusal(wide)
    holes = pa.array([None, *whole.column(name).to_pylist()[1:]], pa.float32())
    assert "without nulls" in refusal(whole.set_column(place, name, holes))
    assert "is damaged: its content" in refusal(whole.slice(0, 4).take([1, 0, 2, 3]))
    edited = pa.array([0.25, *whole.column(name).to_pylist()[1:]], pa.float32())
    assert "is damaged: its content" in refusal(whole.set_column(place, name, edited))


def test_nothing_bad_is_written(tmp_path: Path) -> None:
    path = tmp_path / "batch.safetensors"
    _, saved = written(path)
    before = path.read_bytes()
    codes = {**saved.codes, "first": torch.full_like(saved.codes["first"], torch.inf)}
    with pytest.raises(ExchangeError, match="not finite"):
        write_batch(path, replace(saved, codes=codes))
    assert path.read_bytes() == before
    pipeline, ids = saved.pipeline(), saved.ids
    x = images(4)
    made = pipeline(x, ids=ids, epoch=5)
    told: dict[str, Any] = {"spec": saved.spec, "ids": ids, "epoch": 5, "images": x}

    def refused(match: str, batch: ViewBatch = made, **options: Any) -> None:
        with pytest.raises(ValueError, match=match):
            save_batch(path, batch, pipeline, **{**told, **options})
        assert path.read_bytes() == before

    refused("compiles into plan", spec=spec_of("quickstart"))
    refused("must be uint8", images=x.float() / 255)
    refused("size of the images is needed", images=None)
    refused("3 images for 4 samples", images=x[:3])
    refused(r"codes of view 'original' must be \(5, E\)", ids=torch.arange(5))
    refused(r"ids must be \(4,\) integers", ids=torch.rand(4))
    refused(r"positions must be \(4,\) integers", positions=torch.arange(3))
    bits = made.codes["first"].clone()
    bits[1, 0] = 7.0  # a box far outside the image
    with pytest.raises(CodeError, match=r"resized_crop"):
        save_batch(path, replace(made, codes={**made.codes, "first": bits}), pipeline, **told)
    assert path.read_bytes() == before

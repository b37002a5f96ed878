"""Images held out of the training: which ones, that nothing else changes, and where it is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from equimod.config import load_run
from equimod.data import CorruptImageError, DataError, FolderConfig, ShapesConfig, hold_out
from equimod.data.memory import InMemoryImages
from equimod.report.results import read_summary
from equimod.training.commands import evaluate_run, train_run

N, HELD = 40, 12


def shapes(train: int = N) -> InMemoryImages:
    data = ShapesConfig(train=train, test=8, size=16).build("train", Path())
    assert isinstance(data, InMemoryImages)
    return data


def test_every_image_is_in_one_part_with_its_labels() -> None:
    data = shapes()
    rest, held = hold_out(data, HELD)
    assert (len(rest), rest.split, len(held), held.split) == (N - HELD, "train", HELD, "test")
    assert rest.ids.tolist() == list(range(N - HELD))
    images = [part.load(k) for part in (rest, held) for k in range(len(part))]
    labels = torch.cat([rest.labels, held.labels])
    found = [next(i for i in range(N) if torch.equal(data.load(i), image)) for image in images]
    assert sorted(found) == list(range(N))
    assert torch.equal(data.labels[found], labels)
    assert found[N - HELD :] != list(range(N - HELD, N))  # chosen at random, not the last ones
    assert len({data.fingerprint, rest.fingerprint, held.fingerprint}) == 3
    again = hold_out(shapes(), HELD)
    assert [part.fingerprint for part in again] == [rest.fingerprint, held.fingerprint]


def test_what_cannot_be_decoded_stays_so_and_files_are_read_where_they_are(tmp_path: Path) -> None:
    for k in range(8):
        path = tmp_path / "train" / "a" / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8 + k, 8), (k, 0, 0)).save(path)
    (tmp_path / "train" / "a" / "5.png").write_bytes(b"not an image")
    for memory_limit in (0, 2**20):
        config = FolderConfig(path=tmp_path, size=8, memory_limit=memory_limit)
        parts = hold_out(config.build("train", Path()), 3)
        shades, broken = [], 0
        for part in parts:
            assert isinstance(part, InMemoryImages) == bool(memory_limit)
            assert part.size(0) == (8, 8)
            for k in range(len(part)):
                try:
                    shades.append(int(part.load(k)[0].max()))
                except CorruptImageError as error:
                    assert "5.png" in error.place
                    broken += 1
        assert sorted(shades) == [0, 1, 2, 3, 4, 6, 7] and broken == 1


@pytest.mark.parametrize("count", [N, N + 1, 0])
def test_too_many(count: int) -> None:
    with pytest.raises(
        DataError, match=rf"held_out: cannot hold {count} .*allowed are 1 to {N - 1}"
    ):
        hold_out(shapes(), count)


def test_a_run_measures_on_them_and_says_so(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["arms={}", "held_out=24", "training.epochs=1", "evaluation.probe=null"]
    assert train_run(load_run(tiny, sets), tmp_path / "run", restart=False) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "72 train images 16x16" in printed and "24 held out of them" in printed
    assert "Accuracy on held-out training images, %" in printed
    summary = read_summary(tmp_path / "run" / "summary.json")
    assert summary.measured_on == "held-out training images"
    assert evaluate_run(tmp_path / "run", []) == 0
    assert read_summary(tmp_path / "run" / "summary.json").arms == summary.arms
    # the same training on another part of the images is another run
    other = load_run(tiny, [*sets, "held_out=23"])
    assert train_run(other, tmp_path / "run", restart=False) == 2
    assert "held_out: 24 there, 23 here" in capsys.readouterr().err

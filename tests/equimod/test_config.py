"""Run documents: arms laid over what they share, and mistakes at their place."""

from __future__ import annotations

from pathlib import Path

import pytest

import augspec
from augspec import SpecError
from equimod.config import Run, load_run
from equimod.module_config import EquiModConfig
from equimod.optim import LARSConfig
from equimod.ssl import BYOLConfig, SimCLRConfig

ARM = "simclr+equimod"


def with_arms(tiny: Path, tmp_path: Path, arms: str) -> Path:
    """The document with other arms, written as in `arms`."""
    head, _ = tiny.read_text().split("arms:\n")
    (tmp_path / "views.yaml").write_text((tiny.parent / "views.yaml").read_text())
    path = tmp_path / "run.yaml"
    path.write_text(head + arms)
    return path


def mistakes(path: Path, *overrides: str) -> list[str]:
    """The first line of each mistake, without the folder of the file."""
    with pytest.raises(SpecError) as error:
        load_run(path, overrides)
    lines = [d.render().splitlines()[0] for d in error.value.diagnostics]
    return [line.replace(f"{path.parent}/", "") for line in lines]


def mistake(path: Path, *overrides: str) -> str:
    (only,) = mistakes(path, *overrides)
    return only


def test_arms_merge_into_what_they_share(tiny: Path) -> None:
    run = load_run(tiny, [f"arms.{ARM}.training.optimizer.lr=0.1", f"arms.{ARM}.seed=9"])
    plain, both = run.arms["simclr"], run.arms[ARM]
    assert list(run.arms) == ["simclr", ARM]
    assert plain.equimod is None
    assert both.equimod == EquiModConfig(hidden=16, dim=8)
    assert both.training.optimizer.lr == 0.1
    assert both.training.optimizer.name == "sgd"
    assert both.training.epochs == plain.training.epochs == 2
    assert (plain.seed, both.seed) == (3, 9)
    assert run.shared is plain
    assert run.base == tiny.parent


def test_null_takes_away_and_an_empty_arm_changes_nothing(tiny: Path, tmp_path: Path) -> None:
    path = with_arms(tiny, tmp_path, "arms:\n  a:\n  b: {}\n  c: {equimod: null}\n")
    run = load_run(path, ["equimod={dim: 4}", "arms.c.evaluation={knn: null}"])
    assert run.arms["a"] == run.arms["b"]
    assert run.arms["a"].equimod == EquiModConfig(dim=4)
    assert run.arms["c"].equimod is None
    assert run.arms["c"].evaluation.knn is None
    assert run.arms["c"].evaluation.linear == run.arms["a"].evaluation.linear


def test_another_method_replaces_and_the_same_merges(tiny: Path, tmp_path: Path) -> None:
    arms = """arms:
  warm: {method: {temperature: 0.1}}
  named: {method: {name: simclr, dim: 4}}
  byol: {method: {name: byol, hidden: 4}, training: {optimizer: {name: lars}}}
"""
    run = load_run(with_arms(tiny, tmp_path, arms))
    assert run.arms["warm"].method == SimCLRConfig(hidden=16, dim=8, temperature=0.1)
    assert run.arms["named"].method == SimCLRConfig(hidden=16, dim=4)
    assert run.arms["byol"].method == BYOLConfig(hidden=4)
    assert run.arms["byol"].training.optimizer == LARSConfig()
    assert run.arms["byol"].training.epochs == 2


def test_without_arms_there_is_one_named_by_its_method(tiny: Path, tmp_path: Path) -> None:
    path = with_arms(tiny, tmp_path, "")
    assert list(load_run(path).arms) == ["simclr"]
    assert list(load_run(path, ["equimod={}"]).arms) == ["simclr+equimod"]
    assert list(load_run(path, ["method={name: byol}", "arms={}"]).arms) == ["byol"]


@pytest.mark.parametrize(
    ("change", "field", "column"),
    [
        ("name: other", "name", 8),
        ("data: {source: cifar10}", "data", 8),
        ("data: {train: 50}", "data", 8),
        ("augmentations: other.yaml", "augmentations", 8),
        ("views: {augmented: [second, first]}", "views", 8),
        ("training: {devices: 2}", "training.devices", 19),
        ("training: {precision: bf16}", "training.precision", 19),
        ("training: {accelerator: cpu}", "training.accelerator", 19),
    ],
)
def test_arms_share_some_fields(
    tiny: Path, tmp_path: Path, change: str, field: str, column: int
) -> None:
    path = with_arms(tiny, tmp_path, f"arms:\n  a: {{}}\n  b: {{ {change} }}\n")
    line = len(path.read_text().splitlines())
    expected = f"run.yaml:{line}:{column}: error: arms share '{field}': set it once, outside"
    assert mistake(path).startswith(expected)


def test_what_arms_share_may_be_repeated(tiny: Path, tmp_path: Path) -> None:
    path = with_arms(tiny, tmp_path, "arms:\n  a: {name: tiny, training: {devices: 1}}\n")
    assert load_run(path).arms["a"] == load_run(tiny).arms["simclr"]


def test_mistakes_in_arms_point_there_all_at_once(tiny: Path, tmp_path: Path) -> None:
    arms = """arms:
  a:
    equimod: {wieght: 0.5}
  b: {training: {epochs: -1}}
  c: {method: {name: moco}}
  d: {seeed: 1, data: {train: 1}}
"""
    path = with_arms(tiny, tmp_path, arms)
    start = path.read_text().splitlines().index("arms:") + 1
    found = mistakes(path)
    assert [f.split(": error: ")[0] for f in found] == [
        f"run.yaml:{start + 2}:15",
        f"run.yaml:{start + 3}:26",
        f"run.yaml:{start + 4}:22",
        f"run.yaml:{start + 5}:7",
    ]
    words_of_each = ("mean 'weight'", "must be >= 0, got -1", "known: simclr, byol", "mean 'seed'")
    for text, words in zip(found, words_of_each, strict=True):
        assert words in text


def test_an_arm_that_breaks_a_shared_rule_is_told_once(tiny: Path, tmp_path: Path) -> None:
    arms = "arms:\n  a: {training: {warmup_epochs: 2.5}}\n  b: {training: {epochs: 0}}\n"
    assert "must be <= epochs (2), got 2.5" in mistake(with_arms(tiny, tmp_path, arms))


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ("arms:\n  [a]\n", "3: error: must be a mapping"),
        ("arms:\n  a: 5\n", "6: error: must be a mapping, got 5"),
        ("arms:\n  a/b: {}\n", "3: error: must match the pattern"),
    ],
)
def test_arms_are_mappings_with_plain_names(
    tiny: Path, tmp_path: Path, arms: str, words: str
) -> None:
    path = with_arms(tiny, tmp_path, arms)
    assert f":{words}" in mistake(path)


def test_the_spec_can_be_changed_from_outside(tiny: Path) -> None:
    run = load_run(
        tiny,
        [
            "augmentations.views.first.ops.horizontal_flip.p=0",
            "training.epochs=1",
            "augmentations.normalize=null",
        ],
    )
    assert run.shared.training.epochs == 1
    assert run.spec.normalize is None
    assert dict(run.spec.views["first"].identified())["horizontal_flip"].p == 0
    assert dict(run.spec.views["second"].identified())["horizontal_flip"].p == 0.5
    error = mistake(tiny, "augmentations.views.first.ops.horizontal_flp.p=0")
    assert "did you mean 'horizontal_flip'?" in error


def test_another_spec(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text((tiny.parent / "views.yaml").read_text())
    run = load_run(tiny, [f"augmentations={tmp_path / 'mine.yaml'}"])
    assert run.spec == load_run(tiny).spec
    line = tiny.read_text().splitlines().index("augmentations: views.yaml") + 1
    tiny_copy = tmp_path / "run.yaml"
    tiny_copy.write_text(tiny.read_text())
    expected = f"run.yaml:{line}:16: error: no augmentation spec 'views.yaml' in {tmp_path}"
    assert mistake(tiny_copy) == expected


def test_mistakes_of_the_spec_name_its_file(tiny: Path, tmp_path: Path) -> None:
    path = with_arms(tiny, tmp_path, "")
    spec = tmp_path / "views.yaml"
    spec.write_text(spec.read_text().replace("brightness", "brigthness"))
    # the mistake is under an anchor, and is told once although two views have it
    error = mistake(path)
    assert error.startswith("views.yaml:10:36: error: unknown field 'brigthness' in color_jitter")


def test_unknown_views(tiny: Path) -> None:
    reference, second = mistakes(tiny, "views={reference: orignal, augmented: [first, secnd]}")
    assert reference == (
        "--set:1:19: error: spec 'tiny-views' has no view 'orignal'; did you mean 'original'? "
        "(views: original, first, second, flipped)"
    )
    assert second.startswith("--set:1:47: error: ")
    assert "did you mean 'second'?" in second
    assert "has no view 'zzz' (views: " in mistake(tiny, "views.reference=zzz")


def test_a_reference_must_not_be_random(tiny: Path) -> None:
    error = mistake(tiny, "views.reference=flipped")
    assert error == (
        "--set:1:17: error: view 'flipped' draws horizontal_flip, but the reference must be the "
        "same every time"
    )


def test_layouts_must_agree(tiny: Path) -> None:
    with pytest.raises(SpecError) as error:
        load_run(tiny, ["views.augmented=[first, flipped]"])
    text = str(error.value)
    assert text.startswith("--set:1:17: error: codes of 'first' and 'flipped' have different lay")
    assert "- resized_crop." in text


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("[first, first]", "'first' and 'first' are one view"),
        ("[original, plain]", "'original' and 'plain' draw nothing"),
    ],
)
def test_a_method_needs_two_random_views(tiny: Path, names: str, words: str) -> None:
    overrides = ["augmentations.views.plain={ops: []}", f"views.augmented={names}"]
    assert f"error: {words}: a method needs two random views" in mistake(tiny, *overrides)


def test_missing_and_unknown_fields(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("version: 1\nname: x\ntraining: {epochs: 3}\n")
    found = mistakes(path)
    for field in ("augmentations", "data", "encoder", "method", "batch_size", "optimizer"):
        assert any(f"missing required field {field!r}" in text for text in found), field
    assert "no such file" in mistake(tmp_path / "nothing.yaml")
    assert "must be 1, got 2" in mistake(tiny, "version=2")
    assert "must match the pattern" in mistake(tiny, "name=a/b")


def test_an_override_goes_before_the_arms(tiny: Path) -> None:
    def weights(*overrides: str) -> list[float | None]:
        run: Run = load_run(tiny, overrides)
        return [arm.equimod and arm.equimod.weight for arm in run.arms.values()]

    assert weights("equimod.weight=0.5") == [0.5, 0.5]
    assert weights(f"arms.{ARM}.equimod.weight=0.5") == [None, 0.5]
    assert weights("equimod.weight=0.5", f"arms.{ARM}.equimod.weight=2") == [0.5, 2]
    assert augspec.read_source(tiny).data["arms"][ARM] == {"equimod": {"hidden": 16, "dim": 8}}


DINO = "method={name: dino}"
SMALL = "augmentations.views.small={ops: [{op: resized_crop, size: 8}], size: 8, count: 2}"


def test_local_views_are_further_random_ones_of_the_spec(tiny: Path) -> None:
    run = load_run(tiny, ["arms={}", DINO, SMALL, "views.local=[small_1, small_2]"])
    assert run.shared.views.local == ("small_1", "small_2")
    assert load_run(tiny).shared.views.local == ()
    given = ("arms={}", DINO, SMALL)
    message = mistake(tiny, *given, "views={local: [smal_1]}")
    assert message.startswith("--set:3:16: error: spec 'tiny-views' has no view 'smal_1'")
    assert "did you mean 'small_1'?" in message
    for names, words in (
        ("[small_1, small_1]", "'small_1' is in use already"),
        ("[first]", "'first' is in use already"),
        ("[small_1, original]", "'original' draws nothing"),
    ):
        expected = f"error: {words}: each local view must be another random one"
        assert expected in mistake(tiny, *given, f"views.local={names}")


def test_a_method_of_two_views_refuses_local_ones(tiny: Path, tmp_path: Path) -> None:
    local = "views={local: [small_1]}"
    assert mistake(tiny, "arms={}", local) == (
        "--set:2:15: error: method 'simclr' compares two views and takes no further ones "
        "(those that do: dino)"
    )
    path = with_arms(tiny, tmp_path, "arms:\n  dino: {}\n  byol: {method: {name: byol}}\n")
    assert "method 'byol' compares two views" in mistake(path, DINO, SMALL, local)

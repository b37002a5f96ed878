"""What a run is: typed, checked before anything starts, and recorded beside the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

import augspec
from augspec import Diagnostic, DocumentModel, Source, SpecError, fault
from equimod.baselines import NeighbourConfig, shares
from equimod.code_columns import CodesError, code_columns
from equimod.data import DataConfig
from equimod.encoders import EncoderConfig
from equimod.evaluation import EquivarianceConfig, KNNConfig, LinearConfig, ProbeConfig
from equimod.module_config import EquiModConfig
from equimod.ssl import TAKES_CROPS, WITHOUT_TARGET, MethodConfig
from equimod.training_config import TrainingConfig

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$", max_length=64)]


class ViewsConfig(DocumentModel):
    """Which views of the augmentation spec play which part."""

    reference: str = "original"
    """x0: the view from whose embedding EquiMod predicts, and on which encoders are evaluated."""
    augmented: tuple[str, str] = ("first", "second")
    """x1 and x2: the views that the method makes alike, and that EquiMod predicts."""
    local: tuple[str, ...] = ()
    """Further views, such as small crops (`local_1`, `local_2`), for a method that takes them:
    `dino`. EquiMod does not see them."""


class EvaluationConfig(DocumentModel):
    """What is measured on the frozen encoder; null leaves a measurement out."""

    knn: KNNConfig | None = KNNConfig()
    """Weighted k-nearest-neighbour accuracy."""
    linear: LinearConfig | None = LinearConfig()
    """Accuracy of a linear classifier on the features."""
    equivariance: EquivarianceConfig | None = EquivarianceConfig()
    """How well EquiMod's own head predicts, for arms that have one."""
    probe: ProbeConfig | None = ProbeConfig()
    """The same, with a head trained afterwards on the frozen features: for every encoder."""
    baselines: tuple[Literal["pixels", "random"], ...] = ("pixels", "random")
    """What stands beside the arms: the raw pixels, and the encoder as it is initialised."""


class RunConfig(DocumentModel):
    """One arm of a run, complete: everything that decides its numbers."""

    version: Literal[1]
    """Version of the run format."""
    name: Name
    """What the run is called; its results go to `runs/<name>` unless said otherwise."""
    description: str = ""
    """What it is for."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Keys the weights' initialisation, the order of the images, and every draw."""
    augmentations: str
    """Path of the augmentation spec, relative to this file."""
    views: ViewsConfig = ViewsConfig()
    """Which views play which part."""
    data: DataConfig
    """The images."""
    held_out: int = Field(default=0, ge=0)
    """Measure on this many training images, which are held out of the training, and not on the test
    split: to choose settings by. They are the same ones for all seeds."""
    encoder: EncoderConfig
    """The network whose features are evaluated."""
    method: MethodConfig
    """The invariance method."""
    equimod: EquiModConfig | None = None
    """The equivariance task beside it; null for the method alone."""
    encoder_passes: Literal[2, 3] = 2
    """Of the method alone: how many images of a sample go through the encoder in a step. As a
    control, 3 are as many as EquiMod's: the reference too, and the method compares all three
    pairs (a target network embeds each pair anew)."""
    neighbour: NeighbourConfig | None = None
    """A method that EquiMod is compared with, beside or around the invariance method; null for
    none."""
    training: TrainingConfig
    """How long, how fast and on what."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """What is measured at the end."""

    @model_validator(mode="after")
    def _passes_are_of_the_method_alone(self) -> RunConfig:
        if self.encoder_passes == 2:
            return self
        if self.equimod is not None:
            passes = 3 if self.equimod.reference == "original" else 2
            message = f"is for the method alone (equimod: null); this EquiMod takes {passes} anyway"
            raise fault(message, "encoder_passes")
        if self.views.local or self.neighbour is not None:
            raise fault("must be 2 beside views.local or a neighbour", "encoder_passes")
        return self

    @model_validator(mode="after")
    def _weight_warmup_fits(self) -> RunConfig:
        warmup = self.equimod.weight_warmup_epochs if self.equimod is not None else 0.0
        if self.training.epochs and warmup > self.training.epochs:
            message = f"must be <= training.epochs ({self.training.epochs}), got {warmup:g}"
            raise fault(message, "equimod", "weight_warmup_epochs")
        return self

    @model_validator(mode="after")
    def _method_takes_the_views(self) -> RunConfig:
        if self.views.local and not self.method.takes_crops:
            message = f"method {self.method.name!r} compares two views and takes no further ones"
            raise fault(f"{message} (those that do: {', '.join(TAKES_CROPS)})", "views", "local")
        return self

    @model_validator(mode="after")
    def _one_of_both(self) -> RunConfig:
        if self.neighbour is None:
            return self
        if self.equimod is not None:
            message = f"{self.neighbour.name!r} stands beside the method instead of `equimod`: "
            raise fault(message + "set one of them, and the other to null", "neighbour")
        if self.views.local:
            raise fault(f"must be empty beside neighbour {self.neighbour.name!r}", "views", "local")
        if self.neighbour.changes_features and self.method.has_target:
            name, method = self.neighbour.name, self.method.name
            message = f"{name!r} changes what the method's projector is shown, which the target "
            message += f"network of {method!r} would not see"
            raise fault(f"{message} (methods without: {', '.join(WITHOUT_TARGET)})", "neighbour")
        return self

    @model_validator(mode="after")
    def _whole_groups(self) -> RunConfig:
        if self.neighbour is None:
            return self
        processes = self.training.devices * self.training.nodes
        together = self.neighbour.shared[1]
        if together > 1 and self.training.batch_size % (processes * together):
            message = f"neighbour {self.neighbour.name!r} needs a multiple of {together} images "
            message += f"in each of {processes} processes, got {self.training.batch_size}"
            raise fault(message, "training", "batch_size")
        return self


class RunDocument(RunConfig):
    """A run as a person writes it: what all arms share, and how each of them differs."""

    arms: dict[Name, dict[str, Any] | None] = Field(default={})
    """Arms by name, each with the fields in which it differs; without any, there is one arm."""


@dataclass(frozen=True)
class Run:
    """A run document with its arms spelled out.

    Attributes:
        name: of the run.
        spec: the augmentation spec, which all arms share.
        arms: the arms by name, in the order of the document.
        base: the folder that relative paths start from.
    """

    name: str
    spec: augspec.Spec
    arms: dict[str, RunConfig]
    base: Path

    @property
    def shared(self) -> RunConfig:
        """Any arm's config, for what all arms share."""
        return next(iter(self.arms.values()))


SHARED = (
    ("name",),
    ("augmentations",),
    ("views",),
    ("data",),
    ("held_out",),
    ("training", "accelerator"),
    ("training", "devices"),
    ("training", "nodes"),
    ("training", "strategy"),
    ("training", "precision"),
)
"""What arms may not differ in: their numbers stand beside each other, from the same processes."""

TAGGED = {
    ("method",): "name",
    ("neighbour",): "name",
    ("training", "optimizer"): "name",
    ("data",): "source",
}
"""Where a field decides which other fields there are: another choice replaces, not merges."""


def load_run(path: str | Path, overrides: Sequence[str] = ()) -> Run:
    """Reads a run document, its arms and its augmentation spec.

    Args:
        path: the YAML or JSON file.
        overrides: assignments such as `training.epochs=5` or `arms.simclr.seed=1`; those that begin
            with `augmentations.` and go on inside the spec change the spec.

    Raises:
        SpecError: the file, or the spec it names, has mistakes; all of one file at once.
    """
    inside = [o.removeprefix("augmentations.") for o in overrides if o.startswith("augmentations.")]
    outside = [o for o in overrides if not o.startswith("augmentations.")]
    source = augspec.override(augspec.read_source(path), outside)
    arms = _arms(source)
    config = next(iter(arms.values()))
    base = Path(path).resolve().parent
    if not (base / config.augmentations).is_file():
        message = f"no augmentation spec {config.augmentations!r} in {base}"
        raise SpecError(source.diagnostic(("augmentations",), message))
    spec = augspec.load(base / config.augmentations, inside)
    _check_views(source, config.views, spec)
    _check_codes(source, arms, spec)
    for name, arm in arms.items():
        _check_neighbour(source, ("arms", name) if len(arms) > 1 else (), arm, spec)
    return Run(config.name, spec, arms, base)


def _arms(source: Source) -> dict[str, RunConfig]:
    """The arms of a run document, each laid over what they share, and validated."""
    document = augspec.validate(RunDocument, source)
    shared = augspec.without(source, "arms")
    if not document.arms:
        name = document.method.name + ("" if document.equimod is None else "+equimod")
        return {name: augspec.validate(RunConfig, shared)}
    arms: dict[str, RunConfig] = {}
    wrong: list[Diagnostic] = []
    for name, changes in document.arms.items():
        own = augspec.subtree(source, ("arms", name)) if changes else None
        try:
            arms[name] = augspec.validate(RunConfig, _laid_over(shared, own) if own else shared)
        except SpecError as error:
            wrong += error.diagnostics
            continue
        for field in SHARED:
            if reduce(getattr, field, arms[name]) != reduce(getattr, field, document):
                message = f"arms share {'.'.join(field)!r}: set it once, outside the arms"
                wrong.append(source.diagnostic(("arms", name, *field), message, key=True))
    if wrong:
        raise SpecError(*wrong)
    return arms


def _laid_over(shared: Source, own: Source) -> Source:
    for path, tag in TAGGED.items():
        before, after = _at(shared.data, path), _at(own.data, path)
        merging = isinstance(before, dict) and isinstance(after, dict)
        if merging and after.get(tag, before.get(tag)) != before.get(tag):
            shared = augspec.override(shared, [f"{'.'.join(path)}=null"])
    return augspec.overlay(shared, own)


def _at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _check_views(source: Source, views: ViewsConfig, spec: augspec.Spec) -> None:
    """That the views exist, and can play the parts they are given.

    Raises:
        SpecError: they do not, or cannot.
    """
    plans = {view.name: view for view in augspec.make_plan(spec).views}
    asked = {("reference",): views.reference}
    asked |= {("augmented", k): name for k, name in enumerate(views.augmented)}  # type: ignore[misc]
    asked |= {("local", k): name for k, name in enumerate(views.local)}  # type: ignore[misc]
    wrong = []
    for path, name in asked.items():
        if name not in plans:
            hint = augspec.meant(name, plans)
            message = f"spec {spec.name!r} has no view {name!r}{hint} (views: {', '.join(plans)})"
            wrong.append(source.diagnostic(("views", *path), message))
    if wrong:
        raise SpecError(*wrong)
    reference, first, second, *local = (plans[name] for name in asked.values())
    if reference.layout.width:
        message = f"view {reference.name!r} draws {', '.join(reference.layout.ops)}, but the "
        message += "reference must be the same every time"
        raise SpecError(source.diagnostic(("views", "reference"), message))
    if first is second or not first.layout.width:
        what = "are one view" if first is second else "draw nothing"
        message = f"{first.name!r} and {second.name!r} {what}: a method needs two random views"
        raise SpecError(source.diagnostic(("views", "augmented"), message))
    if first.layout.hash != second.layout.hash:
        message = f"codes of {first.name!r} and {second.name!r} have different layouts, which one "
        message += f"predictor cannot read (p: 0 keeps columns): {first.layout.diff(second.layout)}"
        raise SpecError(source.diagnostic(("views", "augmented"), message))
    for k, view in enumerate(local):
        if view in (first, second, *local[:k]) or not view.layout.width:
            what = "draws nothing" if not view.layout.width else "is in use already"
            message = f"{view.name!r} {what}: each local view must be another random one"
            raise SpecError(source.diagnostic(("views", "local", k), message))


def _check_codes(source: Source, arms: dict[str, RunConfig], spec: augspec.Spec) -> None:
    """That what the predictors of all arms are to read can be had of the views.

    Raises:
        SpecError: it cannot.
    """
    plan, wrong = augspec.make_plan(spec), []
    for name, config in arms.items():
        if config.equimod is None:
            continue
        codes, pair = config.equimod.codes, config.equimod.reference == "pair"
        try:
            code_columns(plan, codes, config.views.augmented, pair=pair)
        except CodesError as error:
            own: tuple[str, ...] = ("arms", name, "equimod")
            start = own if own in source.marks else ("equimod",)
            message = str(error) + (f" (arm {name})" if len(arms) > 1 else "")
            wrong.append(source.diagnostic((*start, "codes", *error.path), message))
    if wrong:
        raise SpecError(*wrong)


def _check_neighbour(
    source: Source, place: tuple[str, ...], config: RunConfig, spec: augspec.Spec
) -> None:
    """That the spec has the views that an arm's neighbour needs, with what they must share.

    Raises:
        SpecError: it has not.
    """
    if config.neighbour is None:
        return
    name, plan = config.neighbour.name, augspec.make_plan(spec)
    known = [view.name for view in plan.views]
    wrong = [view for view in config.neighbour.extra_views if view not in known]
    if wrong:
        message = f"neighbour {name!r} needs view {wrong[0]!r}, which spec {spec.name!r} has not"
        message += f"{augspec.meant(wrong[0], known)} (views: {', '.join(known)})"
        raise SpecError(source.diagnostic((*place, "neighbour"), message))
    views, count = config.neighbour.shared
    for view in views if views is not None else config.views.augmented:
        if not shares(plan, view, count):
            message = f"neighbour {name!r} needs {count} images in a row to share draws in view "
            message += (
                f"{view!r}, which shares none (`share: pairs`, `share: {{samples: {count}}}`)"
            )
            raise SpecError(source.diagnostic((*place, "neighbour"), message))

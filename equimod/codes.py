"""What a predictor reads of the draws: in which encoding, of which augmentations, how scaled.

Training, measurements and evaluation all go through `CodeReader`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

import augspec
from augspec import Pipeline, Ragged, Spec
from equimod.code_columns import CodesConfig, CodesError, Columns, code_columns

Codes = Mapping[str, Tensor]
Size = tuple[int, int]

DRAWS = 2**15
"""How many samples are drawn for moments that have no exact value."""

LAST_EPOCH = 2**32 - 1
"""Of the draws for moments of relative codes, which no training reaches."""


@dataclass(frozen=True)
class CodeReader:
    """From canonical codes, as the pipeline draws them, to the columns that a predictor reads.

    Attributes:
        config: which encoding, and of which augmentations.
        pipeline: what draws.
        columns: of `code_columns`.
        reference: the original.
        views: the two augmented views.
        pair: whether the views are predicted from each other.
        blind: whether the predictor is to see zeros only, a control.
    """

    config: CodesConfig
    pipeline: Pipeline
    columns: Columns
    reference: str
    views: tuple[str, str]
    pair: bool = False
    blind: bool = False

    @classmethod
    def make(
        cls,
        config: CodesConfig,
        pipeline: Pipeline,
        *,
        reference: str,
        views: tuple[str, str],
        pair: bool = False,
        blind: bool = False,
    ) -> CodeReader:
        """The reader of these views.

        Raises:
            CodesError: see `code_columns`.
        """
        columns = code_columns(pipeline.plan, config, views, pair=pair)
        return cls(config, pipeline, columns, reference, views, pair, blind)

    def batch(
        self, codes: Codes, size: Size | Tensor, images: Tensor | Ragged | None = None
    ) -> list[Tensor]:
        """What the predictor reads for each of the two views, `(B, E)` each.

        Args:
            codes: canonical codes `(B, C)` of both views.
            size: height and width of the incoming images, one for all or `(B, 2)`.
            images: the images, for a format that compares pixels.

        Returns:
            For each view its code: from the original, or with `pair` from the other view.

        Raises:
            ValueError: relative codes need images of one size.
        """
        if not self.pair:
            return [self.one(view, codes[view], size, images) for view in self.views]
        first, second = self.views
        ways = (second, first), (first, second)
        return [self._kept(self._between(way, codes, size, images)) for way in ways]

    def one(
        self,
        view: str,
        code: Tensor,
        size: Size | Tensor,
        images: Tensor | Ragged | None = None,
    ) -> Tensor:
        """What the predictor reads to get from the original to a view, `(B, E)`.

        With `pair`, the original counts as a view on which nothing acted.

        Args:
            view: its name.
            code: its canonical code `(B, C)`.
            size: see `batch`.
            images: see `batch`.
        """
        if self.pair:
            # where formats have no original, the other view does nothing instead
            other = self.views[0] if view == self.views[1] else self.views[1]
            start = self.reference if self.config.encoding == "canonical" else other
            codes = {start: torch.zeros_like(code), view: code}
            return self._kept(self._between((start, view), codes, size, images))
        if self.config.encoding == "canonical":
            return self._kept(code)
        return self._kept(self._written((view,), {view: code}, size, images))

    def identity(self, size: Size) -> Tensor:
        """What the predictor reads where nothing acts, `(E,)` float64.

        A column from pixels, whose value follows from no code, counts as zero.
        """
        view = self.views[0]
        code = torch.zeros(1, self.pipeline.layouts[view].width, dtype=torch.float64)
        device = self._device
        images = torch.zeros(1, self.pipeline.plan.channels, *size, device=device)
        return self.one(view, code.to(device), size, images)[0].double().cpu()

    def scaling(
        self, spec: Spec, size: Size | None, *, from_identity: bool
    ) -> tuple[Tensor, Tensor]:
        """What to take away from each column and by what to divide it, `(E,)` float64 each.

        Args:
            spec: the augmentations of the training.
            size: of the images that come in; None where they have sizes of their own.
            from_identity: whether the identity's code is taken away, or else the mean.

        Raises:
            CodesError: they depend on the size of images, of which there are several.
        """
        size = spec.input_size or size
        if size is None:
            message = "a scale of this code depends on the size of the images, which differs"
            raise CodesError(
                f"{message}: give `image.size` in the augmentation spec", "standardise"
            )
        zero = torch.zeros(len(self.columns.kept), dtype=torch.float64)
        mean, std = zero, zero + 1
        if self.config.standardise == "spec":
            mean, std = self._moments(spec, size)
        shift = self.identity(size) if from_identity else mean
        return shift, torch.where(std > 0, std, 1.0)

    @property
    def _device(self) -> torch.device:
        return next((b.device for b in self.pipeline.buffers()), torch.device("cpu"))

    def _moments(self, spec: Spec, size: Size) -> tuple[Tensor, Tensor]:
        kept = list(self.columns.kept)
        if self.config.encoding != "canonical":
            found = augspec.format_moments(
                spec, self.config.encoding, views=self.views, sizes=[size], draws=DRAWS
            )
            return found.mean[kept], found.std[kept]
        if not self.pair:
            exact = augspec.moments(spec, views=self.views, sizes=[size], draws=DRAWS)
            return exact.mean[kept], exact.std[kept]
        ids = torch.arange(DRAWS)
        drawn = augspec.compile(spec, seed=0).draw(ids, LAST_EPOCH, size, ids)
        cpu = CodeReader.make(
            self.config,
            augspec.compile(spec, seed=0),
            reference=self.reference,
            views=self.views,
            pair=True,
        )
        both = torch.cat(cpu.batch(drawn, size)).double()
        return both.mean(0), both.std(0, correction=0)

    def _between(
        self,
        way: tuple[str, str],
        codes: Codes,
        size: Size | Tensor,
        images: Tensor | Ragged | None,
    ) -> Tensor:
        """All columns of the code from one view to another."""
        if self.config.encoding != "canonical":
            return self._written(way, codes, size, images)
        if isinstance(size, Tensor):
            raise ValueError("codes between two views need images of one size, these differ")
        params = self._params(way, codes)
        found = augspec.relative(self.pipeline, params[way[0]], params[way[1]], size, views=way)
        names = found.layout.column_names
        if names == self.columns.every:
            return found.code
        # an original of another size than the data has geometric columns that views may not have
        return found.code[:, [names.index(name) for name in self.columns.every]]

    def _written(
        self,
        way: tuple[str, ...],
        codes: Codes,
        size: Size | Tensor,
        images: Tensor | Ragged | None,
    ) -> Tensor:
        """All columns of a published format."""
        params = self._params(way, codes)
        pixels = images if isinstance(images, Tensor) else None
        form = self.config.encoding
        found = augspec.encode_as(form, self.pipeline, params, size, images=pixels, views=way)
        return found[",".join(way)]

    def _params(self, way: Sequence[str], codes: Codes) -> dict[str, dict[str, Tensor]]:
        wanted = {name: codes[name] for name in way if self.pipeline.layouts[name].width}
        params = self.pipeline.decode(wanted, strict=None)
        return {name: dict(params.get(name, {})) for name in way}

    def _kept(self, code: Tensor) -> Tensor:
        if not self.columns.whole:
            code = code[:, list(self.columns.kept)]
        return torch.zeros_like(code) if self.blind else code

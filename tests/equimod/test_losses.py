"""The losses against explicit double loops, under autocast, and split over processes."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from equimod import contrast, distributed
from equimod.equivariance_losses import equivariance_loss
from equimod.losses import byol_loss, equivariance_nt_xent, info_nce, nt_xent
from equimod.redundancy import barlow_twins_loss, vicreg_loss
from equimod.ssl import BYOL


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.pow(2).sum().sqrt() * b.pow(2).sum().sqrt())


def looped(
    targets: list[Tensor], predictions: list[Tensor], temperature: float, siblings: bool
) -> Tensor:
    """The loss written out, row by row and column by column."""
    rows = [
        (image, view, kind, tensors[view][image])
        for kind, tensors in (("target", targets), ("prediction", predictions))
        for view in range(len(targets))
        for image in range(len(targets[0]))
    ]
    losses = []
    for i, (image, view, kind, x) in enumerate(rows):
        positive, denominator = None, x.new_zeros(())
        for j, (image_2, view_2, kind_2, x_2) in enumerate(rows):
            if i == j:
                continue
            similarity = cosine(x, x_2) / temperature
            if (image_2, view_2) == (image, view) and kind_2 != kind:
                positive = similarity
            elif image_2 == image and not siblings:
                continue
            denominator = denominator + similarity.exp()
        assert positive is not None
        losses.append(denominator.log() - positive)
    return torch.stack(losses).mean()


def random_embeddings(count: int, n: int, dim: int, seed: int = 0) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [
        torch.randn(n, dim, generator=g, dtype=torch.float64).requires_grad_() for _ in range(count)
    ]


@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize("negatives", ["all", "no_sibling"])
def test_value_and_gradient_are_those_of_the_double_loop(views: int, negatives: str) -> None:
    x = random_embeddings(2 * views, n=4, dim=3)
    ours = equivariance_nt_xent(x[:views], x[views:], 0.2, negatives)  # type: ignore[arg-type]
    theirs = looped(x[:views], x[views:], 0.2, siblings=negatives == "all")
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-10)
    for mine, reference in zip(
        torch.autograd.grad(ours, x), torch.autograd.grad(theirs, x), strict=True
    ):
        assert torch.allclose(mine, reference, rtol=0, atol=1e-10)


def test_nt_xent_of_simclr_is_the_cross_entropy_over_the_other_rows() -> None:
    a, b = random_embeddings(2, n=5, dim=4)
    rows = nn.functional.normalize(torch.cat([a, b]), dim=1)
    logits = (rows @ rows.T / 0.5).fill_diagonal_(-math.inf)
    labels = torch.cat([torch.arange(5, 10), torch.arange(5)])
    expected = nn.functional.cross_entropy(logits, labels)
    assert nt_xent(a, b, 0.5).item() == pytest.approx(expected.item(), abs=1e-12)


def test_the_choice_of_negatives_changes_the_loss_only_where_there_is_a_sibling() -> None:
    x = random_embeddings(4, n=4, dim=3)
    assert equivariance_nt_xent(x[:1], x[1:2], 0.2) == equivariance_nt_xent(
        x[:1], x[1:2], 0.2, "no_sibling"
    )
    with_siblings = equivariance_nt_xent(x[:2], x[2:], 0.2)
    assert with_siblings > equivariance_nt_xent(x[:2], x[2:], 0.2, "no_sibling")


def test_losses_ignore_the_length_of_embeddings() -> None:
    a, b = random_embeddings(2, n=4, dim=3)
    assert nt_xent(7 * a, b / 3, 0.5).item() == pytest.approx(nt_xent(a, b, 0.5).item(), abs=1e-12)
    assert byol_loss(7 * a, b / 3).item() == pytest.approx(byol_loss(a, b).item(), abs=1e-12)


def test_byol_loss_of_equal_orthogonal_and_opposite_vectors() -> None:
    x = torch.tensor([[3.0, 0.0]])
    assert byol_loss(x, 5 * x).item() == pytest.approx(0)
    assert byol_loss(x, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(2)
    assert byol_loss(x, -x).item() == pytest.approx(4)


@pytest.mark.parametrize("images", [64, 7])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_are_float32_under_autocast_and_for_half_precision_embeddings(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, images: int
) -> None:
    """In one chunk and in several; the backward pass too may run under autocast."""
    monkeypatch.setattr(contrast, "CHUNK_BYTES", images * 2 * 128 * 4)
    a, b = (x.detach().to(dtype).requires_grad_() for x in random_embeddings(2, n=64, dim=16))
    doubled = [x.detach().double().requires_grad_() for x in (a, b)]
    exact = nt_xent(*doubled, 0.05)
    with torch.autocast("cpu", dtype=dtype):
        loss = nt_xent(a, b, 0.05)
        distance = byol_loss(a, b)
        gradients = torch.autograd.grad(loss, (a, b))
    assert loss.dtype == distance.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
    for mine, reference in zip(gradients, torch.autograd.grad(exact, doubled), strict=True):
        # not more than the rounding of the gradient itself, which has the embeddings' type
        error = (mine.double() - reference).abs()
        assert (error <= reference.abs() * torch.finfo(dtype).eps + 1e-6).all()


def test_the_temperature_may_be_learnt() -> None:
    x = random_embeddings(4, n=3, dim=3)
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    ours = equivariance_nt_xent(x[:2], x[2:], temperature)  # type: ignore[arg-type]
    theirs = looped(x[:2], x[2:], temperature, siblings=True)  # type: ignore[arg-type]
    (mine,), (reference,) = (torch.autograd.grad(loss, temperature) for loss in (ours, theirs))
    assert mine.item() == pytest.approx(reference.item(), rel=1e-10)


def test_the_gradient_of_predictions_alone() -> None:
    """Targets without a gradient, as `stop_gradient` makes them."""
    x = random_embeddings(4, n=4, dim=3)
    targets = [y.detach() for y in x[:2]]
    ours = torch.autograd.grad(equivariance_nt_xent(targets, x[2:], 0.2), x[2:])
    theirs = torch.autograd.grad(looped(targets, x[2:], 0.2, siblings=True), x[2:])
    assert torch.allclose(torch.stack(ours), torch.stack(theirs), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("targets", "predictions", "message"),
    [
        ([], [], "at least one target"),
        ([torch.ones(2, 3)], [torch.ones(2, 3)] * 2, "1 targets and 2 predictions"),
        ([torch.ones(2, 3)], [torch.ones(2, 4)], "share one shape"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(
    targets: list[Tensor], predictions: list[Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        equivariance_nt_xent(targets, predictions)


@pytest.mark.parametrize("temperature", [0, -0.5, math.nan])
def test_a_temperature_that_is_not_above_0_is_refused(temperature: float) -> None:
    a, b = random_embeddings(2, n=2, dim=2)
    with pytest.raises(ValueError, match=f"temperature must be above 0, not {temperature}"):
        nt_xent(a, b, temperature)


def test_other_negatives_are_refused() -> None:
    x = random_embeddings(2, n=2, dim=2)
    message = "'all' or 'no_sibling', not 'no_siblings'; did you mean 'no_sibling'"
    with pytest.raises(ValueError, match=message):
        equivariance_nt_xent(x[:1], x[1:], 0.2, "no_siblings")  # type: ignore[arg-type]


def test_gather_is_the_identity_in_one_process() -> None:
    x = torch.rand(3, 2)
    assert distributed.gather(x) is x
    assert (distributed.rank(), distributed.world_size()) == (0, 1)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "nt_xent": lambda y: nt_xent(y[0], y[1], 0.5),
    "all": lambda y: equivariance_nt_xent(y[:2], y[2:], 0.2, "all"),
    "no_sibling": lambda y: equivariance_nt_xent(y[:2], y[2:], 0.2, "no_sibling"),
    "stopped": lambda y: equivariance_nt_xent([x.detach() for x in y[:2]], y[2:]),
    "byol": lambda y: byol_loss(y[0], y[1]),
    "cosine": lambda y: equivariance_loss("cosine", y[:2], y[2:]),
    "barlow_twins": lambda y: barlow_twins_loss(y[0], y[1], 0.1),
    "vicreg": lambda y: vicreg_loss(y[0], y[1]),
    "vicreg, weighted": lambda y: vicreg_loss(y[0], y[1], 2, 3, 5),
    "vicreg of predictions": lambda y: equivariance_loss("vicreg", y[:2], y[2:]),
    "vicreg stopped": lambda y: equivariance_loss("vicreg", [x.detach() for x in y[:2]], y[2:]),
    "info_nce": lambda y: info_nce(y[0], y[1], 0.5),
}
IMAGES = 12


class Embedder(nn.Module):
    """One shared linear map and a loss over what it gives for four tensors."""

    def __init__(self, loss: str) -> None:
        super().__init__()
        self.map = nn.Linear(6, 4).double()
        self.loss = loss

    def forward(self, x: list[Tensor]) -> Tensor:
        return LOSSES[self.loss]([self.map(part) for part in x])


def embedder(loss: str) -> Embedder:
    torch.manual_seed(3)
    return Embedder(loss)


def on_one_rank(rank: int, world: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=world)
    # the logits of two images of nt_xent, hence of one image of the others: several chunks
    contrast.CHUNK_BYTES = 2 * (2 * 2 * IMAGES * 8)
    whole = [x.detach() for x in random_embeddings(4, n=IMAGES, dim=6)]
    mine = [x.chunk(world)[rank] for x in whole]
    results = {}
    for name in LOSSES:
        model = DistributedDataParallel(embedder(name))
        loss = model(mine)
        loss.backward()
        results[name] = {"loss": loss.detach()}
        results[name] |= {n: p.grad for n, p in model.module.named_parameters()}
    with distributed.alone():
        results["alone"] = {"loss": LOSSES["all"](mine)}
    results["byol step"] = byol_step(rank)
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(6, 4)
        self.method = BYOL(self.encoder, 4, hidden=8, dim=4, ema_start=0.5)

    def forward(self, images: list[Tensor]) -> Tensor:
        loss: Tensor = self.method(images, [self.encoder(x) for x in images])
        return loss


def byol_step(rank: int) -> dict[str, Tensor]:
    """Parameters of online and target network after two steps on this rank's own images."""
    torch.manual_seed(rank)  # DistributedDataParallel starts all ranks from rank 0's weights
    model = DistributedDataParallel(Siamese())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        model([torch.randn(5, 6), torch.randn(5, 6)]).backward()
        optimizer.step()
        model.module.method.after_step(step / 2)
    return {name: p.detach() for name, p in model.module.named_parameters()}


Results = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module", params=[2, 4])
def ranks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Results]:
    """What each of several processes, joined by gloo, computed."""
    world: int = request.param
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(on_one_rank, args=(world, port, folder), nprocs=world)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]


@pytest.mark.parametrize("name", LOSSES)
def test_several_processes_have_the_gradient_and_mean_loss_of_one(
    ranks: list[Results], name: str
) -> None:
    model = embedder(name)
    loss = model(random_embeddings(4, n=IMAGES, dim=6))
    loss.backward()
    found = [results[name] for results in ranks]
    mean = torch.stack([result["loss"] for result in found]).mean()
    assert torch.allclose(mean, loss, rtol=0, atol=1e-12)
    for parameter, p in model.named_parameters():
        assert p.grad is not None
        for result in found:
            assert torch.equal(result[parameter], found[0][parameter])
            assert torch.allclose(result[parameter], p.grad, rtol=0, atol=1e-12)


def test_a_process_that_computes_alone_meets_only_its_own_images(ranks: list[Results]) -> None:
    whole = random_embeddings(4, n=IMAGES, dim=6)
    for rank, results in enumerate(ranks):
        expected = LOSSES["all"]([x.chunk(len(ranks))[rank] for x in whole])
        assert torch.allclose(results["alone"]["loss"], expected, rtol=0, atol=1e-12)


def test_target_networks_of_several_processes_stay_equal(ranks: list[Results]) -> None:
    first, *others = (results["byol step"] for results in ranks)
    assert any(name.startswith("method.target.") for name in first)
    for name, parameter in first.items():
        for other in others:
            assert torch.equal(parameter, other[name]), name
    moved = first["encoder.weight"] - first["method.target.encoder.weight"]
    assert moved.abs().max() > 0

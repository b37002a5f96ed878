"""The losses against explicit double loops, under autocast, and split over two processes."""

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

from equimod import distributed
from equimod.losses import byol_loss, equivariance_nt_xent, nt_xent
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


def test_logits_are_float32_under_autocast_and_for_half_precision_embeddings() -> None:
    a, b = (x.detach().to(torch.bfloat16) for x in random_embeddings(2, n=64, dim=16))
    exact = nt_xent(a.double(), b.double(), 0.05).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nt_xent(a, b, 0.05)
        distance = byol_loss(a, b)
    assert loss.dtype == distance.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=1e-5)


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


def test_gather_is_the_identity_in_one_process() -> None:
    x = torch.rand(3, 2)
    assert distributed.gather(x) is x
    assert (distributed.rank(), distributed.world_size()) == (0, 1)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "nt_xent": lambda y: nt_xent(y[0], y[1], 0.5),
    "all": lambda y: equivariance_nt_xent(y[:2], y[2:], 0.2, "all"),
    "no_sibling": lambda y: equivariance_nt_xent(y[:2], y[2:], 0.2, "no_sibling"),
    "byol": lambda y: byol_loss(y[0], y[1]),
}


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


def on_one_of_two_ranks(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    whole = [x.detach() for x in random_embeddings(4, n=6, dim=6)]
    mine = [x[3 * rank : 3 * rank + 3] for x in whole]
    results = {}
    for name in LOSSES:
        model = DistributedDataParallel(embedder(name))
        loss = model(mine)
        loss.backward()
        results[name] = {"loss": loss.detach()}
        results[name] |= {n: p.grad for n, p in model.module.named_parameters()}
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


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """What each of two processes, joined by gloo, computed."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(on_one_of_two_ranks, args=(port, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", LOSSES)
def test_two_processes_have_the_gradient_and_mean_loss_of_one(
    two_ranks: list[dict[str, dict[str, Tensor]]], name: str
) -> None:
    model = embedder(name)
    loss = model(random_embeddings(4, n=6, dim=6))
    loss.backward()
    first, second = (results[name] for results in two_ranks)
    assert torch.allclose((first["loss"] + second["loss"]) / 2, loss, rtol=0, atol=1e-12)
    for parameter, p in model.named_parameters():
        assert p.grad is not None
        assert torch.equal(first[parameter], second[parameter])
        assert torch.allclose(first[parameter], p.grad, rtol=0, atol=1e-12)


def test_target_networks_of_two_processes_stay_equal(
    two_ranks: list[dict[str, dict[str, Tensor]]],
) -> None:
    first, second = (results["byol step"] for results in two_ranks)
    assert any(name.startswith("method.target.") for name in first)
    for name, parameter in first.items():
        assert torch.equal(parameter, second[name]), name
    moved = first["encoder.weight"] - first["method.target.encoder.weight"]
    assert moved.abs().max() > 0

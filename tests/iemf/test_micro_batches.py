"""A gradient that accumulates over micro-batches: one ξ, of all their samples, once."""

import warnings
from contextlib import nullcontext

import pytest
import torch
import torch.distributed
import torch.multiprocessing
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from iemf import InverseEffectiveness
from iemf.coefficient import inverse_effectiveness
from tests.iemf.training.test_processes import free_port

SCALES = ("gradient", "step")


def probability(p):
    """Logits of two classes whose first has this probability."""
    return torch.tensor([[p, 1 - p]]).log()


def test_one_coefficient_of_all_micro_batches_by_hand():
    """Gradients 1 and 2, S_uni / S_av = .2 / .8 and .4 / .4: ξ = 1 + tanh(1 - .3 / .6) on 3, not ξ_1 ξ_2 + 2 ξ_2."""
    weight, label = nn.Parameter(torch.zeros(1)), torch.tensor([0])
    effect = InverseEffectiveness([weight])
    (1 * weight).sum().backward()
    effect.collect([probability(0.2)], probability(0.8), label)
    assert weight.grad.item() == 1.0
    (2 * weight).sum().backward()
    xi = effect.modulate([probability(0.4)], probability(0.4), label)
    assert xi.item() == pytest.approx(1.4621, abs=1e-4)
    assert weight.grad.item() == pytest.approx(3 * 1.4621, abs=3e-4)
    weight.grad = None
    weight.sum().backward()  # nothing is left over for the next step
    assert effect.modulate([probability(0.4)], probability(0.4), label).item() == pytest.approx(1.0)


def test_modalities_that_change_are_refused():
    effect = InverseEffectiveness([nn.Parameter(torch.zeros(1))])
    logits, label = probability(0.5), torch.tensor([0])
    effect.collect([logits], logits, label)
    with pytest.raises(ValueError, match="2 modalities in this micro-batch, 1 in those before"):
        effect.modulate([logits, logits], logits, label)


def model():
    torch.manual_seed(0)
    return nn.ModuleDict({"audio": nn.Linear(4, 3), "visual": nn.Linear(4, 3), "fusion": nn.Linear(8, 3)}).double()


class Logits(nn.Module):
    """x [B, 8] -> logits of both heads and the fusion."""

    def __init__(self):
        super().__init__()
        self.parts = model()

    def forward(self, x):
        return self.parts["audio"](x[:, :4]), self.parts["visual"](x[:, 4:]), self.parts["fusion"](x)


def samples():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(12, 8, generator=generator).double(), torch.arange(12) % 3


def train(scale, optimizer, micro, rows=slice(None), wrap=lambda module: module, scaler=None):
    """Two steps on 12 samples (or these of them), ``micro`` samples at a time; weights, and ξ of each step."""
    network = Logits()
    wrapped, made = wrap(network), optimizer(network.parameters(), lr=0.1)
    effect = InverseEffectiveness(network.parts["fusion"], scale=scale, optimizer=made)
    x, y = (part[rows] for part in samples())
    xis = []
    for _ in range(2):
        parts = list(zip(x.split(micro), y.split(micro), strict=True))
        for number, (inputs, labels) in enumerate(parts):
            last = number == len(parts) - 1
            with nullcontext() if last or wrapped is network else wrapped.no_sync():
                *unimodal, fused = wrapped(inputs)
                loss = sum(F.cross_entropy(each, labels) for each in (*unimodal, fused)) / len(parts)
                (loss if scaler is None else scaler.scale(loss)).backward()
            if not last:
                effect.collect(unimodal, fused, labels)
        if scaler is not None:
            scaler.unscale_(made)
        xis.append(effect.modulate(unimodal, fused, labels).item())
        made.step() if scaler is None else scaler.step(made)
        if scaler is not None:
            scaler.update()
        made.zero_grad()
    return torch.cat([p.detach().flatten() for p in network.parameters()]), xis


ADAPTIVE = {"gradient": torch.optim.SGD, "step": torch.optim.Adam}


@pytest.mark.parametrize("scale", SCALES)
def test_micro_batches_do_what_one_large_batch_does(scale):
    whole, xis = train(scale, ADAPTIVE[scale], 12)
    parts, again = train(scale, ADAPTIVE[scale], 3)
    assert again == pytest.approx(xis, rel=1e-12)
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-12)
    assert abs(xis[0] - 1) > 0.01


@pytest.mark.parametrize("scale", SCALES)
def test_and_with_a_scaled_loss(scale):
    scaled = train(scale, ADAPTIVE[scale], 3, scaler=torch.amp.GradScaler("cpu", init_scale=1024.0))
    plain = train(scale, ADAPTIVE[scale], 3)
    assert scaled[1] == pytest.approx(plain[1], rel=1e-12)
    torch.testing.assert_close(scaled[0], plain[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_a_step_that_the_scaler_skips_leaves_no_samples_behind(scale):
    """Infinite gradients in the first window; the second has a ξ of its own samples alone."""
    weight, label = nn.Parameter(torch.zeros(1)), torch.tensor([0])
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), torch.amp.GradScaler("cpu", init_scale=2.0)
    effect = InverseEffectiveness([weight], scale=scale, optimizer=optimizer)
    for size, strength in ((float("inf"), 0.2), (1.0, 0.4)):
        for last in (False, True):
            scaler.scale(weight * size).sum().backward()
            told = [probability(strength)], probability(0.8), label
            effect.modulate(*told) if last else effect.collect(*told)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    xi = inverse_effectiveness(0.4, 0.8).item()
    assert weight.item() == pytest.approx(-2 * xi, rel=1e-5)


def processes(rank, port, scale, out):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    result = train(scale, ADAPTIVE[scale], 3, slice(6 * rank, 6 * rank + 6), DistributedDataParallel)
    torch.save(result, out / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("scale", SCALES)
def test_two_processes_that_reduce_once_a_step_end_as_one(tmp_path, scale):
    torch.multiprocessing.spawn(processes, (free_port(), scale, tmp_path), nprocs=2)
    whole, xis = train(scale, ADAPTIVE[scale], 12)
    for rank in range(2):
        found, again = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert again == pytest.approx(xis, rel=1e-12)
        torch.testing.assert_close(found, whole, rtol=1e-9, atol=1e-12)


# ---- modulate where collect was meant


def twice(scale, between):
    weight, logits, label = nn.Parameter(torch.zeros(1)), probability(0.5), torch.tensor([0])
    optimizer = torch.optim.SGD([weight], lr=1.0)
    effect = InverseEffectiveness([weight], scale=scale, optimizer=optimizer)
    for _ in range(2):
        weight.sum().backward()
        effect.modulate([logits], logits, label)
        between(optimizer)


@pytest.mark.parametrize("scale", SCALES)
def test_modulate_on_every_micro_batch_is_warned_of(scale):
    with pytest.warns(UserWarning, match="call collect with all but the last"):
        twice(scale, lambda optimizer: None)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "between",
    [
        lambda o: (o.step(), o.zero_grad()),
        lambda o: (o.step(), o.zero_grad(set_to_none=False)),
        lambda o: o.zero_grad(),
    ],
    ids=["step", "zeros kept", "skipped"],
)
def test_a_step_each_is_not(scale, between):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        twice(scale, between)

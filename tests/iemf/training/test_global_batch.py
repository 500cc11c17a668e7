"""Two processes compute what one does with twice the batch size: ξ, gradients; and stay one network for 20 steps."""

import functools
import os
import socket
from itertools import count

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from iemf.avqa.baseline import Baseline
from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.match import MatchStage
from iemf.avqa.st_avqa import STAVQA
from iemf.avqa.stages import AnswerStage, GroundedAnswerStage
from iemf.balance import METHODS
from iemf.continual.methods import METHODS as CONTINUAL
from iemf.factory import make_modulation
from iemf.global_norm import GlobalBatchNorm2d, with_global_norms
from iemf.processes import rows_of_processes
from iemf.training import Trainer, TrainingOptions
from iemf_snn.norm import fuses
from tests.iemf.small import avqa_network, classification_trainer, folder_of, learner, questions

STEPS = 20
COMPARED = 4  # steps, a last batch among them; of batch norm, whose rounding grows from step to step, fewer


class Convolution(nn.Sequential):
    """[B, 1, 32, 32] -> [B, 4], without a norm, whose statistics would be each process's own."""

    features = 4

    def __init__(self):
        super().__init__(nn.Conv2d(1, 4, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def classification(path, accelerator, batch, **options):
    return classification_trainer(path, accelerator, batch_size=7 * batch, **options)


def continual(path, accelerator, batch, name, iemf):
    make = (lambda n, o, _: make_modulation(n.classifier.parameters(), o)) if iemf else None
    run = learner(path, accelerator, CONTINUAL[name](), make, batch_size=3 * batch, exemplar_batch=3 * batch)
    run.trainer(0).release()
    return run.trainer(1)  # with a teacher and exemplars


def match_network():
    torch.manual_seed(0)
    return MatchNetwork(5, 6, 8)


def answering(path, accelerator, batch, make, network, iemf):
    data, module = questions(count=21), network()  # a last batch of five: parts of two and three
    for part in module.modules():
        if isinstance(part, nn.Dropout):  # drawn by each process for itself
            part.p = 0.0
        elif isinstance(part, nn.MultiheadAttention):
            part.dropout = 0.0
    stage = make(module, data.train, data.val, 4 * batch, 0, accelerator)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
    modulation = make_modulation(module.answer.fc_fusion.parameters(), optimizer) if iemf else None
    how = TrainingOptions(2, 0, progress=False)
    return Trainer(stage, optimizer, how, folder_of(path), accelerator, modulation=modulation)


CASES = {f"classification, {name}, {iemf}": functools.partial(classification, method=name, iemf=iemf,
                                                                         encoder=Convolution)
         for name in METHODS for iemf in (False, True)}  # fmt: skip
CASES |= {f"continual, {name}, {iemf}": functools.partial(continual, name=name, iemf=iemf)
          for name in CONTINUAL for iemf in (False, True)}  # fmt: skip
CASES |= {
    "match": functools.partial(answering, make=MatchStage, network=match_network, iemf=False),
    "answer, baseline": functools.partial(
        answering, make=AnswerStage, network=functools.partial(avqa_network, Baseline), iemf=True
    ),
    "answer, st-avqa": functools.partial(
        answering, make=GroundedAnswerStage, network=functools.partial(avqa_network, STAVQA), iemf=True
    ),
}


# Their norms' statistics are those of the global batch: many small sums over processes, so few steps.
WITH_NORMS = {
    "ann": functools.partial(classification, sync_norm=True, method="ogm-ge", iemf=True),
    "snn, norm beside the neuron": functools.partial(classification, sync_norm=True, snn=True, iemf=True),
    "snn, norm within it": functools.partial(classification, sync_norm=True, snn=True, backend="numba", iemf=True),
}


def flat(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def measure(trainer, steps):
    """ξ of each step, the gradients that the first few updates are made of, and all weights and buffers in the end."""
    parameters, gradients, xis = list(trainer.stage.module.parameters()), [], []
    trainer.raw_optimizer.register_step_pre_hook(
        lambda *_: gradients.append(flat(p.grad for p in parameters)) if len(gradients) < COMPARED else None
    )
    trainer.network.train()
    batches = ((epoch, batch) for epoch in count() for batch in trainer.stage.batches(epoch))
    for _, (epoch, batch) in zip(range(steps), batches, strict=False):
        totals = trainer.step(batch, epoch)
        xis.append(totals.get("xi", torch.ones(())))
    module = trainer.stage.module
    state = {name: value.clone() for name, value in module.named_parameters()}
    buffers = flat(buffer.float() for buffer in module.buffers()) if list(module.buffers()) else None
    trainer.release()
    return {"xi": torch.stack(xis), "gradients": torch.stack(gradients), "state": state, "buffers": buffers}


def measure_all(folder, accelerator):
    batch = 2 // accelerator.num_processes
    steps = STEPS if batch == 1 else COMPARED
    found = {name: measure(make(f"{folder}/{name}", accelerator, batch), steps) for name, make in CASES.items()}
    return found | {name: measure(make(f"{folder}/{name}", accelerator, batch), 2) for name, make in WITH_NORMS.items()}


def norms(x, weights):
    """What a norm makes of x, and gradients of it all, by the module and fused with its neuron."""
    import iemf_snn

    found = {}
    for name in ("module", "fused", "fused, repeated"):
        norm = with_global_norms(nn.BatchNorm2d(3)).train()
        assert type(norm) is GlobalBatchNorm2d
        assert fuses(norm)
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
            norm.bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
        leaf = x.clone().requires_grad_()
        if name == "module":
            out = norm(leaf)
        else:
            node = iemf_snn.LIFNode(stateless=True, backend="numba")
            steps = 2 if "repeated" in name else None
            out = node(leaf if steps else leaf.unflatten(0, (2, -1)).contiguous(), norm, steps)
        given = weights if name != "fused, repeated" else torch.cat([weights, 2 * weights])
        (out.flatten(0, out.ndim - 4) * given).sum().backward()
        found[name] = [out.detach().flatten(0, out.ndim - 4), leaf.grad, norm.weight.grad, norm.bias.grad,
                       norm.running_mean, norm.running_var]  # fmt: skip
    return found


def norm_input():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, 4, 5, generator=generator) + 3, torch.randn(6, 3, 4, 5, generator=generator)


def replica(rank, port, folder):
    """One of two processes on the CPU, as a launcher sets it up."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                      MASTER_PORT=str(port), ACCELERATE_USE_CPU="true")  # fmt: skip
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    found = measure_all(f"{folder}/{rank}", accelerator)
    x, weights = norm_input()
    own = [0, 1] if rank == 0 else [2, 3, 4, 5]  # parts of unequal size
    found["norms"] = norms(x[own], weights[own])
    rows = torch.tensor(own, dtype=torch.float32, requires_grad=True)
    together = rows_of_processes(rows)
    ((together * torch.arange(6)).sum() * (rank + 1)).backward()
    found["rows"] = together.detach(), rows.grad
    try:
        nn.SyncBatchNorm(3)(x)
    except ValueError as error:
        found["torch's"] = str(error)
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What two processes have found, and what one has."""
    folder = tmp_path_factory.mktemp("batch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    torch.multiprocessing.spawn(replica, (port, str(folder)), nprocs=2)
    alone = measure_all(folder / "alone", Accelerator(cpu=True))
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_num_threads(threads)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)], alone


@pytest.mark.parametrize("case", [*CASES, *WITH_NORMS])
def test_replicas_are_one_network_after_twenty_steps(found, case):
    first, second = (each[case] for each in found[0])
    assert torch.equal(first["xi"], second["xi"])
    assert torch.equal(first["gradients"], second["gradients"])
    for name, value in first["state"].items():
        assert torch.isfinite(value).all(), name
        assert torch.equal(value, second["state"][name]), name
    if first["buffers"] is not None:
        assert torch.equal(first["buffers"], second["buffers"])


@pytest.mark.parametrize("case", [*CASES, *WITH_NORMS])
def test_xi_and_gradients_are_those_of_one_process_with_the_global_batch(found, case):
    (together, _), alone = (each[case] for each in found[0]), found[1][case]
    torch.testing.assert_close(together["xi"][:COMPARED], alone["xi"][:COMPARED], rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(together["gradients"], alone["gradients"], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * theirs.abs().max().item())


@pytest.mark.parametrize("name", ["module", "fused", "fused, repeated"])
def test_a_norm_of_the_global_batch_is_that_of_one_process(found, name):
    """Of unequal parts: two samples of six here, four there."""
    x, weights = norm_input()
    if name == "fused":  # time and batch are one to a norm, not to neurons: the parts as two processes cut them
        x, weights = (torch.cat([part[[0, 2, 3]], part[[1, 4, 5]]]) for part in (x, weights))
    out, grad, grad_weight, grad_bias, mean, variance = norms(x, weights)[name]
    parts = [each["norms"][name] for each in found[0]]
    places = {"module": [[0, 1], [2, 3, 4, 5]], "fused": [[0, 3], [1, 2, 4, 5]],
              "fused, repeated": [[0, 1], [2, 3, 4, 5]]}[name]  # fmt: skip
    for part, place in zip(parts, places, strict=True):
        twice = place + [row + 6 for row in place] if name == "fused, repeated" else place
        torch.testing.assert_close(part[0], out[twice], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(part[1], grad[place], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(part[4], mean)
        torch.testing.assert_close(part[5], variance)
    torch.testing.assert_close(parts[0][2] + parts[1][2], grad_weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts[0][3] + parts[1][3], grad_bias, rtol=1e-4, atol=1e-5)


def test_rows_of_all_processes_and_their_gradient(found):
    """The losses are Σ i·x_i and twice that, so the gradient is 3 i."""
    for each, own in zip(found[0], ([0, 1], [2, 3, 4, 5]), strict=True):
        rows, grad = each["rows"]
        assert rows.tolist() == [0, 1, 2, 3, 4, 5]
        assert grad.tolist() == [3 * i for i in own]


def test_torchs_own_norm_says_that_it_needs_a_gpu(found):
    assert all("GPU" in each["torch's"] for each in found[0])

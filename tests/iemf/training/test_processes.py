"""Several processes: the scores of the global batch, hence the same ξ on every replica, and replicas that stay one."""

import os
import socket
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from iemf.avqa.baseline import Baseline
from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.match import MatchStage
from iemf.avqa.st_avqa import STAVQA
from iemf.avqa.stages import AnswerStage, GroundedAnswerStage, predict
from iemf.balance.ogm_ge import OGMGE
from iemf.continual.methods import AVCIL
from iemf.errors import UserError
from iemf.factory import make_modulation
from iemf.modulation import InverseEffectiveness
from iemf.processes import copy_from_first, sum_over_processes
from iemf.training import RunFolder, Trainer, TrainingOptions
from tests.iemf.small import (
    Toy,
    avqa_network,
    classification_stage,
    classification_trainer,
    folder_of,
    learner,
    questions,
    toy_trainer,
)  # fmt: skip


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def logits_and_labels():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(7, 4, generator=generator) for _ in range(3)], torch.arange(7) % 4


def modulate(rows):
    logits, labels = logits_and_labels()
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.ones(2)
    audio, visual, fused = (part[rows] for part in logits)
    InverseEffectiveness([parameter]).modulate([audio, visual], fused, labels[rows])
    return parameter.grad[0]


def test_ogm_ge_reduces_its_scores_too(monkeypatch, make_network, batch):
    """The scores handed to the reduction are sums over samples, not means."""
    seen = []
    monkeypatch.setattr("iemf.balance.ogm_ge.sum_over_processes", lambda x: seen.append(x.clone()) or x)
    network = make_network()
    output = network(*batch[:2])
    output.logits.fused.sum().backward()
    OGMGE(network).on_gradients(output, batch[2], 0)
    parts = network.fusion.contributions(*output.features.values())
    expected = torch.stack([p.softmax(1).gather(1, batch[2][:, None]).sum() for p in parts])
    torch.testing.assert_close(seen[0], expected)


def test_one_process_shares_nothing():
    x = torch.ones(2)
    assert sum_over_processes(x) is x
    copy_from_first([x])
    assert x.tolist() == [1, 1]


# ---- what each of two processes does; one start of both serves every test below


def question_trainer(path, make, accelerator, module):
    data = questions(count=22)  # an uneven number of batches
    stage = make(module, data.train, data.val, 4, 0, accelerator)
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    parameters = None if make is MatchStage else module.answer.fc_fusion.parameters()
    modulation = None if parameters is None else make_modulation(parameters, optimizer)
    how = TrainingOptions(2, 0, progress=False)
    return Trainer(stage, optimizer, how, folder_of(path), accelerator, modulation=modulation)


def train_classification(path, accelerator):
    run = classification_trainer(path, accelerator, method="ogm-ge", iemf=True, snn=True, epochs=2, batch_size=10)
    run.fit()
    return run.stage.module, run.history, run.stage.test()[0]


def train_balanced(method, **options):
    def train(path, accelerator):
        run = classification_trainer(path, accelerator, method=method, iemf=True, epochs=2, batch_size=10, **options)
        run.fit()
        return run.stage.module, run.history, run.stage.state_dict()

    return train


def train_tasks(path, accelerator):
    run = learner(path, accelerator, AVCIL(), lambda n, o, _: make_modulation(n.classifier.parameters(), o), epochs=1)
    matrix = run.fit()
    return run.network, run.history, matrix


def train_questions(path, accelerator, make, module):
    run = question_trainer(path, make, accelerator, module)
    history = run.fit()
    told = {} if make is MatchStage else predict(module, run.stage.val, 4, accelerator)
    return module, history, told


def match_network():
    torch.manual_seed(0)
    return MatchNetwork(5, 6, 8)


TRAININGS = {
    "classification, ogm-ge": train_classification,
    "classification, mmpareto": train_balanced("mmpareto"),
    "classification, agm": train_balanced("agm", snn=True),
    "classification, pmr": train_balanced("pmr"),
    "classification, g-blending": train_balanced("g-blending", optimizer="adam", lr=1e-3),
    "tasks, av-cil": train_tasks,
    "match": lambda path, a: train_questions(path, a, MatchStage, match_network()),
    "answer, baseline": lambda path, a: train_questions(path, a, AnswerStage, avqa_network(Baseline)),
    "answer, st-avqa": lambda path, a: train_questions(path, a, GroundedAnswerStage, avqa_network(STAVQA)),
}


def refusal(path, accelerator):
    """What is said to two processes that go on with a run of one."""
    try:
        toy_trainer(path, Toy(), accelerator).fit(resume=True)
    except UserError as error:
        return str(error)


def replica(rank, port, folder):
    """What a launcher sets up for one of two processes on the CPU, then all that the tests look at."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                      MASTER_PORT=str(port), ACCELERATE_USE_CPU="true")  # fmt: skip
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    # Shares of unequal size: a mean of means would be wrong.
    found = {"xi": modulate(slice(0, 5) if rank == 0 else slice(5, 7))}
    copied = [torch.full((2,), float(rank + 1)), torch.tensor(rank + 1)]
    copy_from_first(copied)
    found["copied"] = copied
    found["sum"] = sum_over_processes(torch.tensor(float(rank + 1)))
    found["refused"] = refusal(f"{folder}/of one", accelerator)
    for name, train in TRAININGS.items():
        module, history, told = train(f"{folder}/{name}", accelerator)
        found[name] = {"state": module.state_dict(), "history": history, "told": told}
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def run_alone(folder):
    """What the tests compare with, of one process."""
    accelerator = Accelerator(cpu=True)
    toy_trainer(folder / "of one", Toy(), accelerator, epochs=1).fit()
    alone = {}
    for name, model in (("answer, baseline", Baseline), ("answer, st-avqa", STAVQA)):
        alone[name] = lambda state, model=model: of_answers(model, state, accelerator)
    alone["classification, ogm-ge"] = lambda state: of_classes(state, accelerator)
    return alone


def of_answers(model, state, accelerator):
    module = avqa_network(model)
    module.load_state_dict(state)
    return predict(module, questions(count=22).val, 5, accelerator)


def of_classes(state, accelerator):
    stage = classification_stage(accelerator, method="ogm-ge", snn=True)
    stage.module.load_state_dict(state)
    return stage.test()[0]


class Replicas(NamedTuple):
    folder: Path
    found: list[dict]  # of each process
    alone: dict


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    alone = run_alone(folder)
    torch.multiprocessing.spawn(replica, (free_port(), str(folder)), nprocs=2)
    yield Replicas(folder, [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)], alone)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_xi_is_that_of_the_global_batch_on_every_replica(replicas):
    xis = [found["xi"] for found in replicas.found]
    assert torch.equal(*xis)
    torch.testing.assert_close(xis[0], modulate(slice(0, 7)))
    assert not torch.isclose(xis[0], modulate(slice(0, 5)), rtol=1e-4)


def test_sums_are_everybodys_and_copies_are_the_firsts(replicas):
    for found in replicas.found:
        assert found["sum"] == 3
        assert [tensor.tolist() for tensor in found["copied"]] == [[1.0, 1.0], 1]


@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_train_one_network(replicas, name):
    """Gradients, ξ, noise and running statistics agree, so the replicas stay the same; so do all measurements."""
    first, second = (found[name] for found in replicas.found)
    for key, value in first["state"].items():
        assert torch.isfinite(value).all(), key
        assert torch.equal(value, second["state"][key]), key
    timeless = [[{k: v for k, v in record.items() if k != "seconds"} for record in each["history"]]
                for each in (first, second)]  # fmt: skip
    assert timeless[0] == timeless[1]
    assert len(timeless[0]) == (3 if name.startswith("tasks") else 2)
    assert RunFolder(replicas.folder / name).metrics() == first["history"]  # written once, by the first
    assert all((record["xi"] is None) == (name == "match") for record in timeless[0])


@pytest.mark.parametrize("name", ["agm", "pmr", "g-blending"])
def test_a_methods_state_is_the_same_on_every_replica(replicas, name):
    first, second = (found[f"classification, {name}"]["told"] for found in replicas.found)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["classification, ogm-ge", "answer, baseline", "answer, st-avqa"])
def test_what_is_tested_is_counted_as_one_process_would(replicas, name):
    alone = replicas.alone[name](replicas.found[0][name]["state"])
    for found in replicas.found:
        told = found[name]["told"]
        assert list(told) == ["audio", "visual", "fused"]
        for head, value in told.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, alone[head])
            else:
                assert value == pytest.approx(alone[head])


def test_tasks_are_tested_alike(replicas):
    matrices = [found["tasks, av-cil"]["told"] for found in replicas.found]
    assert matrices[0] == matrices[1]
    assert [len(row) for row in matrices[0]] == [1, 2, 3]


def test_a_run_of_one_process_is_not_resumed_by_two(replicas):
    for found in replicas.found:
        assert "is of a run with 1 process(es), this one has 2; resume with as many" in found["refused"]

"""The cores among runs, by hand; what counts as small; and that workers do as they are told."""

import pytest
import torch

from experiments.avqa import run as avqa
from experiments.classification import compare
from experiments.continual import run as continual
from experiments.sweep import execution, threads
from experiments.sweep.threads import Share, share
from iemf.pool import threads_asked


@pytest.fixture
def machine(monkeypatch):
    """Of so many cores, with or without a GPU, and nothing asked for."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def set_up(cores, cuda=False):
        monkeypatch.setattr(threads, "available_cores", lambda: cores)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)

    return set_up


@pytest.mark.parametrize(
    ("cores", "count", "jobs", "small", "expected"),
    [
        (2, 8, None, True, (2, 1)),
        (2, 8, None, False, (2, 1)),  # as many runs as cores: one thread each
        (2, 1, None, True, (2, 1)),
        (2, 1, None, False, (2, 2)),  # the last one has the machine
        (16, 40, None, True, (16, 1)),
        (16, 40, None, False, (4, 4)),
        (16, 3, None, True, (16, 1)),
        (16, 3, None, False, (4, 5)),
        (16, 40, 1, True, (1, 1)),
        (16, 40, 2, False, (2, 8)),
        (2, 40, 4, False, (4, 1)),
    ],
)
def test_the_cores_are_shared_out(machine, cores, count, jobs, small, expected):
    machine(cores)
    assert share(count, jobs, lambda: small) == Share(*expected)


def test_what_is_asked_for_wins(machine, monkeypatch):
    machine(16)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert share(40, None, lambda: False) == Share(4, 3)
    assert share(40, 2, lambda: pytest.fail("nobody needs to know")) == Share(2, 3)


def test_a_gpu_takes_one_run_at_a_time(machine):
    machine(16, cuda=True)
    assert share(40, None, lambda: pytest.fail("nobody needs to know")) == Share(1, 16)


def test_no_step_is_tried_where_nothing_hangs_on_it(machine):
    machine(2)
    assert share(8, None, lambda: pytest.fail("tried")) == Share(2, 1)


@pytest.mark.parametrize(("text", "number"), [("2", 2), ("4,2", 4), ("", None), ("0", None), ("many", None)])
def test_what_the_environment_says(monkeypatch, text, number):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads_asked() == number


def test_operations_are_counted_of_a_whole_batch(monkeypatch):
    """A linear layer of 10 x 20 on 4 samples: 2·4·10·20 operations forward and as many for its weights' gradient."""
    layer = torch.nn.Linear(10, 20)

    class Step:
        network = layer

        def __call__(self, batch, epoch):
            layer(batch).sum().backward()

    class Run:
        precision, batch_size = "fp32", 8

    operations = 2 * (2 * 4 * 10 * 20) * 2  # twice the samples that are tried
    for bound, small in ((operations, False), (operations + 1, True)):
        monkeypatch.setattr(threads, "SMALL", bound)
        before = torch.get_num_threads()
        assert threads.is_small(Run, lambda accelerator: (Step(), torch.ones(4, 10), 4)) == small
        assert torch.get_num_threads() == before


CONFIGS = {compare: compare.CompareConfig, continual: continual.ContinualConfig, avqa: avqa.AVQAConfig}


@pytest.mark.parametrize("module", CONFIGS, ids=lambda module: module.__name__)
def test_every_task_s_embedded_runs_are_small(module, small, digits_qa, tmp_path, machine, monkeypatch):
    """One thread each on any number of cores; with a bound of nothing they are large in every task."""
    options = {"cache": digits_qa} if module is avqa else {}
    runs = module.grid(CONFIGS[module](networks=("ann", "snn"), seeds=(0,), out=tmp_path, **options))
    machine(64)
    assert threads.share_of(runs, None, module.TASK) == Share(64, 1)
    monkeypatch.setattr(threads, "SMALL", 0)
    assert threads.share_of(runs, None, module.TASK) == Share(4, 64 // min(4, len(runs)))


def test_a_sweep_hands_its_share_on(monkeypatch, tmp_path, small):
    told = []

    def pool(function, runs, jobs, threads, **options):
        told.append((jobs, threads))
        yield from ()

    monkeypatch.setattr(execution, "in_processes", pool)
    monkeypatch.setattr(execution.threads, "share_of", lambda runs, jobs, task: Share(7, 5))
    runs = continual.grid(continual.ContinualConfig(methods=("lwf",), out=tmp_path))
    execution.train_missing(runs, None, continual.TASK, show=False)
    assert told == [(7, 5)]

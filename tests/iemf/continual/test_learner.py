"""Task after task: what resumption gives, what a memory holds, what is forgotten."""

import itertools
import statistics
from dataclasses import replace

import numpy as np
import pytest
import torch

from iemf.continual import av_digits_ci, metrics
from iemf.continual.learner import ContinualLearner, ContinualOptions
from iemf.continual.methods import AVCIL, METHODS, SSIL, LwF
from iemf.continual.model import ContinualNetwork
from iemf.continual.stage import TaskStage
from iemf.data.sets import av_digits
from iemf.errors import UserError
from iemf.modulation import InverseEffectiveness, ReleasedInverseEffectiveness
from iemf.training import RunFolder, Window, checkpoint
from iemf.training.step import Step
from tests.iemf.small import CONTINUAL, blobs, folder_of, learner


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_learns_every_task(tmp_path, accelerator, name):
    run = learner(tmp_path, accelerator, METHODS[name]())
    matrix = run.fit()
    assert [len(row) for row in matrix] == [1, 2, 3]
    assert all(0 <= value <= 100 for row in matrix for value in row)
    assert [[sorted(each) for each in row] for row in run.unimodal] == [[["audio", "visual"]] * n for n in (1, 2, 3)]
    assert run.network.classes == 6
    assert sorted(p.name for p in tmp_path.glob("checkpoints/*")) == [
        "best.pt", "last.pt", "previous.pt", "task0.pt", "task1.pt", "task2.pt",
    ]  # fmt: skip


def with_adam(run):
    """The learner with Adam, and ξ on the classifier's step."""
    run.make_optimizer = lambda n: torch.optim.Adam(n.parameters(), lr=1e-2)
    run.make_modulation = lambda n, o, _: InverseEffectiveness(n.classifier.parameters(), scale="step", optimizer=o)
    return run


def with_noise(run):
    """ξ as the released code has it, whose noise goes on where it was."""
    run.make_modulation = lambda n, o, seed: ReleasedInverseEffectiveness(n.classifier.parameters(), seed=seed)
    return run


def timeless(history):
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history]


@pytest.mark.parametrize(
    "adapt", [lambda run: run, with_adam, with_noise], ids=["sgd", "adam, ξ on the step", "released"]
)
@pytest.mark.parametrize("stop", [(2, 0), (1, 1)], ids=["between tasks", "within a task"])
def test_resumed_a_run_ends_as_if_it_had_not_stopped(tmp_path, accelerator, monkeypatch, adapt, stop):
    whole = adapt(learner(tmp_path / "whole", accelerator, AVCIL()))
    expected = whole.fit()
    original, seen, begun = Step.__call__, [], []

    def break_off(self, batch, epoch):
        if (self.stage.task, epoch) == stop:
            seen.append(batch)
            if len(seen) == 2:
                raise KeyboardInterrupt
        return original(self, batch, epoch)

    def listen(self, batch, epoch):
        if (at := (self.stage.task, epoch)) not in begun:
            begun.append(at)
        return original(self, batch, epoch)

    with monkeypatch.context() as patched:
        patched.setattr(Step, "__call__", break_off)
        with pytest.raises(KeyboardInterrupt):
            adapt(learner(tmp_path / "part", accelerator, AVCIL())).fit()
    resumed = adapt(learner(tmp_path / "part", accelerator, AVCIL()))
    torch.rand(7)  # whatever was drawn meanwhile
    with monkeypatch.context() as patched:
        patched.setattr(Step, "__call__", listen)
        assert resumed.fit(resume=True) == expected
    assert begun == [at for at in itertools.product(range(3), range(CONTINUAL["epochs"])) if at >= stop]
    assert resumed.unimodal == whole.unimodal
    for name, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value), name
    metrics_of = [timeless(run.folder.metrics()) for run in (whole, resumed)]
    assert metrics_of[0] == metrics_of[1] == timeless(resumed.history)
    assert len(metrics_of[0]) == 3 * CONTINUAL["epochs"]


def test_metrics_grow_with_every_epoch_and_forget_a_broken_one(tmp_path, accelerator, monkeypatch):
    validate, seen = TaskStage.validate, []

    def listen(self, epoch):
        seen.append(len(RunFolder(tmp_path).metrics()))
        if len(seen) == 4:  # in the second task's second epoch
            raise KeyboardInterrupt
        return validate(self, epoch)

    run = learner(tmp_path, accelerator)
    with monkeypatch.context() as patched:
        patched.setattr(TaskStage, "validate", listen)
        with pytest.raises(KeyboardInterrupt):
            run.fit()
    assert seen == [0, 1, 2, 3]
    run.folder.write_metrics([*run.folder.metrics(), {"task": 1, "epoch": 1}])  # of the epoch that was broken off

    def at_once(self, batch, epoch):
        raise KeyboardInterrupt

    again = learner(tmp_path, accelerator)
    with monkeypatch.context() as patched:
        patched.setattr(Step, "__call__", at_once)
        with pytest.raises(KeyboardInterrupt):
            again.fit(resume=True)
    assert [(r["task"], r["epoch"]) for r in again.folder.metrics()] == [(0, 0), (0, 1), (1, 0)]


@pytest.mark.parametrize("finished", [True, False], ids=["a task's", "the last epoch's"])
def test_a_checkpoint_of_another_run_is_refused(tmp_path, accelerator, finished):
    """Method, tasks and benchmark are in the config, whose mark the checkpoints carry."""
    first = learner(tmp_path, accelerator, epochs=1, identity={"method": "ssil"})
    first.fit()
    if not finished:
        for path in tmp_path.glob("checkpoints/task*.pt"):
            path.unlink()
    for identity in ({"method": "lwf"}, {"method": "ssil", "tasks": 2}, {"method": "ssil", "dataset": "others"}):
        with pytest.raises(UserError, match="is of a run with other options or data") as caught:
            learner(tmp_path, accelerator, epochs=1, identity=identity).fit(resume=True)
        assert "\n" not in str(caught.value)
    assert len(learner(tmp_path, accelerator, epochs=1, identity={"method": "ssil"}).fit(resume=True)) == 3


def test_a_damaged_checkpoint_of_a_task_falls_back_to_the_task_before(tmp_path, accelerator, capsys):
    expected = learner(tmp_path, accelerator, epochs=1).fit()
    checkpoints = tmp_path / "checkpoints"
    weights = checkpoint.load(checkpoints / "task2.pt")["network"]
    (checkpoints / "task2.pt").write_bytes((checkpoints / "task2.pt").read_bytes()[:-800])
    assert learner(tmp_path, accelerator, epochs=1).fit(resume=True) == expected
    assert "task2.pt is not a readable checkpoint" in (told := capsys.readouterr().err)
    assert told.endswith("going on from the one before, task1.pt\n")
    found = checkpoint.load(checkpoints / "task2.pt")["network"]
    assert all(torch.equal(weights[name], found[name]) for name in weights)


def test_a_checkpoint_of_an_old_version_is_refused(tmp_path, accelerator):
    learner(tmp_path, accelerator, epochs=1).fit()
    path = tmp_path / "checkpoints" / "task2.pt"
    content = checkpoint.load(path)
    checkpoint.save(path, {name: content[name] for name in ("network", "accuracies", "history")})
    with pytest.raises(UserError, match=r"task2\.pt is of a run with other options or data"):
        learner(tmp_path, accelerator, epochs=1).fit(resume=True)


def test_exemplars_come_from_the_training_split_of_old_classes(tmp_path, accelerator):
    run = learner(tmp_path, accelerator, SSIL(), memory=9)
    assert run.exemplars(0) == []
    rows = run.exemplars(2)
    labels = run.data.train.labels[rows].tolist()
    assert sorted(labels) == [0, 0, 1, 1, 2, 2, 3, 3]  # floor(9 / 4) of each
    assert learner(tmp_path, accelerator, LwF()).exemplars(2) == []


def test_a_memory_too_small_is_refused_before_anything_is_trained(tmp_path, accelerator):
    with pytest.raises(UserError, match="`memory` 3 is smaller than the 4 old classes of the last task"):
        learner(tmp_path, accelerator, SSIL(), memory=3)
    learner(tmp_path / "lwf", accelerator, LwF(), memory=3).fit()  # which has none


def test_a_window_of_epochs_limits_xi(tmp_path, accelerator):
    run = learner(tmp_path, accelerator, SSIL(), lambda n, *_: InverseEffectiveness(n.classifier.parameters()),
                  epochs=3, window=Window(1, 1))  # fmt: skip
    run.fit()
    assert [record["xi"] is not None for record in run.history] == [False, True, False] * 3


def test_divergence_is_one_clear_line(tmp_path, accelerator):
    run = learner(tmp_path, accelerator)
    run.make_optimizer = lambda n: torch.optim.SGD(n.parameters(), lr=1e30)
    with pytest.raises(UserError, match="training diverged: the loss of task 0, epoch 0 is nan") as caught:
        run.fit()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("split", ["val", "test"])
def test_features_that_are_not_finite_are_named_where_nothing_is_trained(tmp_path, accelerator, split):
    """A network sees NaN as class 0, and the table would look like any other."""
    broken = blobs()
    getattr(broken, split).audio[3, 0] = float("nan")
    with pytest.raises(UserError, match="the features of '3' in blobs hold values that are not finite"):
        learner(tmp_path, accelerator, data=broken).fit()


def test_features_that_are_not_finite_are_named(tmp_path, accelerator):
    data = blobs()
    data.train.audio[3] = np.inf
    with pytest.raises(UserError, match="the features of '3' in blobs hold values that are not finite"):
        learner(tmp_path, accelerator, data=data).fit()


def test_the_av_cil_baseline_distils_attention(tmp_path, accelerator):
    """Without VAD the loss differs, and the default has it."""
    histories = []
    for method in (AVCIL(), AVCIL(attention=False)):
        run = learner(tmp_path / str(len(histories)), accelerator, method)
        run.fit()
        histories.append([record["loss"] for record in run.history])
    assert histories[0][:2] == histories[1][:2]  # the first task has no teacher
    assert histories[0][2:] != histories[1][2:]


def test_a_task_has_a_seed_of_its_own(tmp_path, accelerator):
    """It is what the modulation's noise begins from, and the same whoever asks."""
    seeds = []
    for number in range(2):
        run = learner(tmp_path / str(number), accelerator, SSIL(),
                      lambda n, o, seed: seeds.append(seed) or InverseEffectiveness(n.classifier.parameters()),
                      epochs=1)  # fmt: skip
        run.fit()
    assert seeds[:3] == seeds[3:]
    assert len(set(seeds)) == 3


def test_fine_tuning_forgets_more_than_any_method(tmp_path, accelerator, monkeypatch):
    """Over three seeds, on the first three tasks of av-digits-ci made small."""
    for split, count in {"train": 50, "val": 8, "test": 20}.items():
        monkeypatch.setitem(av_digits.SPLIT_PER_DIGIT, split, count)
    data = av_digits_ci.load()
    data = replace(data, tasks=data.tasks[:3])
    forgetting = {}
    for name, method in METHODS.items():
        rates = []
        for seed in range(3):
            torch.manual_seed(seed)
            network = ContinualNetwork(data.audio_size, data.visual_size, 2, features=32)
            network.train_encoders_by_heads = False
            run = ContinualLearner(
                network, method(), data, ContinualOptions(1, 10, 10, 50, seed, progress=False),
                folder_of(tmp_path / f"{name}{seed}"), accelerator, lambda n: torch.optim.Adam(n.parameters(), lr=5e-3),
            )  # fmt: skip
            rates.append(metrics.average_forgetting_rate(run.fit()))
        forgetting[name] = rates
    worst = max(max(rates) for name, rates in forgetting.items() if name != "fine-tuning")
    assert min(forgetting["fine-tuning"]) > worst + 5, forgetting
    assert statistics.fmean(forgetting["fine-tuning"]) > 30

"""The loop over tasks: what ξ touches, what resumption gives, what is forgotten."""

import statistics
from dataclasses import replace

import numpy as np
import pytest
import torch

from iemf.balance import InverseEffectiveness
from iemf.continual import av_digits_ci, metrics
from iemf.continual.data import ContinualData, FeatureSplit, check_classes, equal_tasks
from iemf.continual.methods import AVCIL, METHODS, SSIL, LwF, Step
from iemf.continual.model import ContinualNetwork, Output
from iemf.continual.trainer import ContinualOptions, ContinualTrainer
from iemf.errors import UserError
from iemf.training import RunFolder

OPTIONS = {"epochs": 2, "batch_size": 6, "exemplar_batch": 6, "memory": 8, "seed": 0, "progress": False}


def blobs(classes=6, tasks=3):
    """Features around a centre of each class."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, 4)), rng.normal(size=(classes, 1, 1, 5))
    splits = {}
    for name, count in (("train", 10), ("val", 4), ("test", 4)):
        labels = np.repeat(np.arange(classes), count)
        audio = centres[0][labels] + rng.normal(0, 0.3, (len(labels), 4))
        visual = centres[1][labels] + rng.normal(0, 0.3, (len(labels), 2, 3, 5))
        splits[name] = FeatureSplit(audio.astype(np.float16), visual.astype(np.float16), labels)
    return ContinualData("blobs", tuple("abcdef"[:classes]), equal_tasks(classes, tasks), **splits)


def trainer(tmp_path, method=None, modulation=None, data=None, **options):
    data = data or blobs()
    torch.manual_seed(0)
    network = ContinualNetwork(data.audio_size, data.visual_size, data.tasks[0].stop, features=16)
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir(parents=True, exist_ok=True)
    return ContinualTrainer(
        network, method or SSIL(), data, ContinualOptions(**(OPTIONS | options)), folder,
        lambda n: torch.optim.SGD(n.parameters(), lr=0.05), modulation,
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_learns_every_task(tmp_path, name):
    run = trainer(tmp_path, METHODS[name](), joint=True)
    matrix = run.fit()
    assert [len(row) for row in matrix] == [1, 2, 3]
    assert all(0 <= value <= 100 for row in matrix for value in row)
    assert run.network.classes == 6
    assert sorted(p.name for p in tmp_path.glob("checkpoints/*")) == ["last.pt", "task0.pt", "task1.pt", "task2.pt"]


def with_adam(run):
    """The trainer with Adam, and ξ on the classifier's step."""
    run.make_optimizer = lambda n: torch.optim.Adam(n.parameters(), lr=1e-2)
    run.make_modulation = lambda n, o, _: InverseEffectiveness(n.classifier.parameters(), scale="step", optimizer=o)
    return run


@pytest.mark.parametrize("adapt", [lambda run: run, with_adam], ids=["sgd", "adam, ξ on the step"])
@pytest.mark.parametrize("stop", [(2, 0), (1, 1)], ids=["between tasks", "within a task"])
def test_resumed_a_run_ends_as_if_it_had_not_stopped(tmp_path, adapt, stop):
    whole = adapt(trainer(tmp_path / "whole", AVCIL(), joint=True))
    expected = whole.fit()
    part = adapt(trainer(tmp_path / "part", AVCIL(), joint=True))
    batches = part._batches

    def break_off(task, epoch, exemplars):
        for number, batch in enumerate(batches(task, epoch, exemplars)):
            if (task, epoch) == stop and number == 1:
                raise KeyboardInterrupt
            yield batch

    part._batches = break_off
    with pytest.raises(KeyboardInterrupt):
        part.fit()
    resumed = adapt(trainer(tmp_path / "part", AVCIL(), joint=True))
    torch.rand(7)  # whatever was drawn meanwhile
    assert resumed.fit(resume=True) == expected
    for name, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value), name
    metrics_of = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "part")]
    assert metrics_of[0] == metrics_of[1]
    assert len(metrics_of[0].splitlines()) == 3 * OPTIONS["epochs"]


def test_metrics_grow_with_every_epoch_and_forget_a_broken_task(tmp_path):
    run = trainer(tmp_path, SSIL())
    accuracy, seen = run._accuracy, []

    def listen(split, tasks):
        seen.append(len(run.folder.metrics()))
        if len(seen) == 6:  # in the second task's second epoch
            raise KeyboardInterrupt
        return accuracy(split, tasks)

    run._accuracy = listen
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    assert len(run.folder.metrics()) > OPTIONS["epochs"]
    again = trainer(tmp_path, SSIL())
    again._learn = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        again.fit(resume=True)
    assert [(r["task"], r["epoch"]) for r in again.folder.metrics()] == [(0, 0), (0, 1)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": LwF()}, "method SSIL, this run of LwF"),
        ({"data": blobs(tasks=2)}, r"tasks \[2, 2, 2\], this run of \[3, 3\]"),
        ({"data": replace(blobs(), name="others")}, "benchmark blobs, this run of others"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, words):
    trainer(tmp_path, SSIL(), epochs=1).fit()
    with pytest.raises(UserError, match=words):
        trainer(tmp_path, **({"method": SSIL()} | change), epochs=1).fit(resume=True)


def test_exemplars_in_a_step_have_a_size_of_their_own(tmp_path):
    run = trainer(tmp_path, SSIL(), exemplar_batch=3)
    sizes = [(current, len(batch.label) - current) for current, batch in run._batches(2, 0, run._exemplars(2))]
    assert sizes == [(6, 3), (6, 3), (6, 3), (2, 3)]


def test_xi_touches_the_classifier_alone(tmp_path):
    """ξ = 0 in effect: the classifier's update vanishes, every other parameter moves as without."""

    class Nothing(InverseEffectiveness):
        def modulate(self, unimodal, fused, labels):
            for p in self.parameters:
                p.grad.zero_()
            return fused.new_zeros(())

    runs = []
    for modulation in (None, lambda n, *_: Nothing(n.classifier.parameters())):
        run = trainer(tmp_path / str(len(runs)), LwF(), modulation, joint=True, epochs=1, batch_size=60,
                      data=blobs(tasks=1))  # fmt: skip
        before = {k: v.clone() for k, v in run.network.state_dict().items()}
        run.fit()
        runs.append((before, run.network.state_dict()))
    (before, plain), (_, stopped) = runs
    for name in before:
        if name.startswith("classifier"):
            assert torch.equal(stopped[name], before[name])
            assert not torch.equal(plain[name], before[name])
        else:
            assert torch.equal(stopped[name], plain[name]), name


def test_scores_are_of_the_tasks_own_samples_and_classes(tmp_path):
    seen = []

    class Listening(InverseEffectiveness):
        def modulate(self, unimodal, fused, labels):
            seen.append((len(unimodal), fused.shape, labels.min().item(), labels.max().item()))
            return super().modulate(unimodal, fused, labels)

    trainer(tmp_path, SSIL(), lambda n, *_: Listening(n.classifier.parameters()), joint=True, epochs=1).fit()
    assert {shape[1] for _, shape, *_ in seen} == {2}  # two new classes in every task
    assert {shape[0] for _, shape, *_ in seen} == {6, 2}  # 20 samples in batches of 6; exemplars are not among them
    assert {(low, high) for _, _, low, high in seen} <= {(0, 1), (0, 0), (1, 1)}
    assert {count for count, *_ in seen} == {2}


def test_exemplars_come_from_the_training_split_of_old_classes(tmp_path):
    run = trainer(tmp_path, SSIL(), memory=9)
    assert run._exemplars(0) == []
    rows = run._exemplars(2)
    labels = run.data.train.labels[rows].tolist()
    assert sorted(labels) == [0, 0, 1, 1, 2, 2, 3, 3]  # floor(9 / 4) of each
    assert trainer(tmp_path, LwF())._exemplars(2) == []


def test_a_memory_too_small_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(UserError, match="--memory 3 is smaller than the 4 old classes of the last task"):
        trainer(tmp_path, SSIL(), memory=3)
    trainer(tmp_path / "lwf", LwF(), memory=3).fit()  # which has none


def test_silent_features_have_bounded_gradients():
    """Spiking features may all be zero; the contrast must not blow up on them."""
    features = torch.zeros(4, 8, requires_grad=True)
    logits = torch.zeros(4, 2)
    output = Output(logits, logits, logits, features, torch.rand(4, 8), logits, logits)
    AVCIL(attention=False).further_loss(output, output, Step(torch.tensor([0, 1, 0, 1]), 4, 0, [])).backward()
    assert features.grad.abs().max() < 1e4


def test_a_window_of_epochs_limits_xi(tmp_path):
    run = trainer(tmp_path, SSIL(), lambda n, *_: InverseEffectiveness(n.classifier.parameters()), joint=True,
                  epochs=3, modulate_epochs=(1, 2))  # fmt: skip
    run.fit()
    assert [record["xi"] is not None for record in run.history] == [False, True, False] * 3


def test_divergence_is_one_clear_line(tmp_path):
    run = trainer(tmp_path)
    run.make_optimizer = lambda n: torch.optim.SGD(n.parameters(), lr=1e30)
    with pytest.raises(UserError, match="training diverged: the loss of task 0, epoch 0 is nan"):
        run.fit()


@pytest.mark.parametrize("split", ["val", "test"])
def test_features_that_are_not_finite_are_named_where_nothing_is_trained(tmp_path, split):
    """A network sees NaN as class 0, and the table would look like any other."""
    broken = blobs()
    getattr(broken, split).audio[3, 0] = float("nan")
    with pytest.raises(UserError, match="the features of '3' in blobs hold values that are not finite"):
        trainer(tmp_path, data=broken).fit()


def test_features_that_are_not_finite_are_named(tmp_path):
    data = blobs()
    data.train.audio[3] = np.inf
    with pytest.raises(UserError, match="the features of '3' in blobs hold values that are not finite"):
        trainer(tmp_path, data=data).fit()


def test_a_class_without_samples_is_named():
    data = blobs()
    data.val.labels[data.val.labels == 4] = 3
    with pytest.raises(UserError, match="class 'e' has no sample in val"):
        check_classes(data)


def test_the_av_cil_baseline_distils_attention(tmp_path):
    """Without VAD the loss differs, and the default has it."""
    histories = []
    for method in (AVCIL(), AVCIL(attention=False)):
        run = trainer(tmp_path / str(len(histories)), method)
        run.fit()
        histories.append([record["loss"] for record in run.history])
    assert histories[0][:2] == histories[1][:2]  # the first task has no teacher
    assert histories[0][2:] != histories[1][2:]


def test_features_of_av_digits_ci():
    data = av_digits_ci.load()
    assert data.train.visual.shape == (1500, 4, 16, 64)
    assert data.train.audio.shape == (1500, 128)
    assert [len(task) for task in data.tasks] == [2] * 5
    check_classes(data)
    again = av_digits_ci.load()
    assert np.array_equal(again.test.visual, data.test.visual)
    views = data.test.visual[:50].astype(np.float32)
    assert not np.array_equal(views[:, 0], views[:, 1])  # each view has noise of its own


def test_oriented_gradients_of_an_edge():
    """A vertical edge has energy in the orientation across it, in the windows that hold it."""
    image = torch.zeros(1, 1, 32, 32)
    image[..., 16:] = 1
    features = av_digits_ci.oriented_gradients(image).view(16, 4, 4, 4)
    energy = features.sum((2, 3))
    lit = energy.sum(1) > 0
    assert energy[lit].argmax(1).unique().tolist() == [0]
    assert 0 < lit.sum() < 16


def test_fine_tuning_forgets_more_than_any_method(tmp_path):
    """Over three seeds, on av-digits-ci cut short."""
    data = av_digits_ci.load()
    forgetting = {}
    for name, method in METHODS.items():
        rates = []
        for seed in range(3):
            folder = RunFolder(tmp_path / f"{name}{seed}")
            folder.checkpoints.mkdir(parents=True)
            torch.manual_seed(seed)
            network = ContinualNetwork(data.audio_size, data.visual_size, 2, features=32)
            run = ContinualTrainer(
                network, method(), data, ContinualOptions(4, 32, 32, 50, seed, progress=False), folder,
                lambda n: torch.optim.Adam(n.parameters(), lr=2e-3),
            )  # fmt: skip
            rates.append(metrics.average_forgetting_rate(run.fit()))
        forgetting[name] = rates
    worst = max(max(rates) for name, rates in forgetting.items() if name != "fine-tuning")
    assert min(forgetting["fine-tuning"]) > worst + 5, forgetting
    assert statistics.fmean(forgetting["fine-tuning"]) > 30

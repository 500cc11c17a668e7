"""The loop of question answering, on a stage small enough to see through."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from iemf.avqa.trainer import AVQAOptions, AVQATrainer
from iemf.errors import UserError
from iemf.training import RunFolder


class Pair(NamedTuple):
    x: Tensor
    y: Tensor


class Pairs(Dataset):
    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(10, 3, generator=generator).half()
        self.y = torch.arange(10) % 2

    def __len__(self):
        return len(self.y)

    def __getitems__(self, rows):
        return Pair(self.x[rows], self.y[rows])


class Toy:
    """Dropout and numbers of the generator are part of the loss; the third validation is the best."""

    def __init__(self, xi=None, ranks=(1.0, 2.0, 5.0, 3.0)):
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
        self.xi, self.ranks, self.count, self.seen = xi, ranks, 0, []

    def loss(self, batch, generator):
        assert self.module.training
        assert batch.x.dtype == torch.float32
        self.seen.append(len(batch.y))
        noise = torch.rand((), generator=generator)
        return nn.functional.cross_entropy(self.module(batch.x), batch.y) * (1 + noise)

    def on_gradients(self):
        return None if self.xi is None else torch.tensor(self.xi)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        assert state == {"count": self.count}

    def validate(self):
        self.count += 1
        return (self.ranks[self.count - 1],), {"val_accuracy": self.ranks[self.count - 1]}


def trainer(path, stage, epochs=4):
    folder = RunFolder(path)
    folder.start({})
    optimizer = torch.optim.Adam(stage.module.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.1)
    return AVQATrainer(stage, Pairs(), AVQAOptions(epochs, 4, 7, progress=False), folder, optimizer, schedule)


def test_the_best_epochs_weights_are_left_and_metrics_are_written(tmp_path):
    stage = Toy(xi=1.25)
    run = trainer(tmp_path, stage)
    history = run.fit()
    assert stage.seen == [4, 4, 2] * 4
    assert run.best_epoch == 2
    assert [record["val_accuracy"] for record in history] == [1, 2, 5, 3]
    assert {record["xi"] for record in history} == {1.25}
    assert run.folder.metrics() == history
    third = trainer(tmp_path / "x", Toy(xi=1.25), epochs=3)
    third.fit()
    for name, value in third.stage.module.state_dict().items():
        assert torch.equal(stage.module.state_dict()[name], value), name
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.01)


def test_the_first_of_equal_epochs_is_kept(tmp_path):
    run = trainer(tmp_path, Toy(ranks=(2.0, 2.0)), epochs=2)
    run.fit()
    assert run.best_epoch == 0
    assert run.history[0]["xi"] is None


@pytest.mark.parametrize("stop", [5, 8])  # in the second and in the third epoch
def test_resumed_a_run_ends_as_if_it_had_not_stopped(tmp_path, stop):
    whole = trainer(tmp_path / "whole", Toy())
    expected = whole.fit()
    stage = Toy()
    loss = stage.loss

    def break_off(batch, generator):
        if len(stage.seen) == stop:
            raise KeyboardInterrupt
        return loss(batch, generator)

    stage.loss = break_off
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "part", stage).fit()
    again = Toy()
    again.count = stop // 3
    torch.rand(5)  # whatever was drawn meanwhile
    resumed = trainer(tmp_path / "part", again)
    assert resumed.fit(resume=True) == expected
    assert resumed.best_epoch == whole.best_epoch
    for name, value in whole.stage.module.state_dict().items():
        assert torch.equal(again.module.state_dict()[name], value), name
    assert resumed.folder.metrics() == expected


def test_divergence_is_one_clear_line(tmp_path):
    stage = Toy()
    stage.loss = lambda batch, generator: stage.module(batch.x).sum() * float("nan")
    with pytest.raises(UserError, match="training diverged: the loss of epoch 0 is nan"):
        trainer(tmp_path, stage).fit()

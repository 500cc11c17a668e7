"""The learning rate's factor, step by step, and when a plateau ends a training; numbers worked out by hand."""

import math

import pytest
import torch
from accelerate import Accelerator

from iemf.training.schedule import FALLS, Schedule
from tests.iemf.small import Toy, toy_trainer


@pytest.mark.parametrize(("step", "factor"), [(0, 0.25), (2, 0.75), (3, 1.0), (4, 1.0), (100, 1.0)])
def test_a_warm_up_rises_in_equal_parts_to_one(step, factor):
    assert Schedule(warmup=4).factor(step, 5, 4) == pytest.approx(factor)


@pytest.mark.parametrize(("step", "factor"), [(0, 1.0), (9, 1.0), (10, 0.1), (19, 0.1), (20, 0.01)])
def test_a_step_is_a_tenth_from_each_of_its_epochs_on(step, factor):
    assert Schedule("step", drops=(2, 4)).factor(step, 5, 6) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("step", "factor"),
    # 4 steps of warm-up, then 16: (1 + cos(π·p)) / 2 at p = 0, 1/4, 1/2, 3/4 and 1
    [(1, 0.5), (3, 1.0), (4, 1.0), (8, (1 + math.sqrt(0.5)) / 2), (12, 0.5), (16, (1 - math.sqrt(0.5)) / 2), (20, 0.0)],
)
def test_a_cosine_goes_down_behind_the_warm_up(step, factor):
    assert Schedule("cosine", warmup=4).factor(step, 5, 4) == pytest.approx(factor, abs=1e-12)


def ranks(*accuracies):
    return [(accuracy, 0.0) for accuracy in accuracies]


@pytest.mark.parametrize(
    ("seen", "falls"),
    [
        (ranks(), 0),
        (ranks(50, 40), 0),
        (ranks(50, 40, 50), 1),  # an equal rank is no better one
        (ranks(50, 40, 51, 40), 0),
        (ranks(50, 40, 40, 60, 50, 50), 2),
        (ranks(50, 40, 40, 40, 40, 40), 2),
        (ranks(50, 40, 40, 40, 40, 40, 40), 3),
        ([(50, -1.0), (50, -0.9), (50, -0.8)], 0),  # of equal accuracies the lower loss is better
    ],
)
def test_a_plateau_falls_after_epochs_that_were_no_better(seen, falls):
    plateau = Schedule("plateau", patience=2)
    assert plateau.falls(seen) == falls
    assert plateau.is_over(seen) == (falls > FALLS)
    assert plateau.factor(7, 5, 6, falls) == pytest.approx(0.1**falls)
    assert Schedule("cosine").falls(seen) == 0


def rates(trainer):
    return [record["lr"] for record in trainer.history]


def test_the_loop_stops_on_a_plateau_and_records_its_rates(tmp_path):
    stage = Toy(ranks=(1.0, 5.0, 3.0, 3.0, 3.0, 3.0, 9.0))
    trainer = toy_trainer(tmp_path, stage, Accelerator(cpu=True), epochs=7, schedule=Schedule("plateau", patience=1))
    history = trainer.fit()
    assert len(history) == 5  # two epochs, then one that waits at each of three rates
    assert rates(trainer) == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.001])
    assert trainer.best["epoch"] == 1


@pytest.mark.parametrize("schedule", [Schedule("cosine", warmup=2), Schedule("plateau", patience=1)])
def test_a_resumed_run_goes_on_at_its_rate(tmp_path, schedule):
    def run(folder, *lengths):
        for number, epochs in enumerate(lengths):
            stage = Toy(ranks=(5.0, 3.0, 3.0, 7.0, 3.0, 3.0))
            trainer = toy_trainer(tmp_path / folder, stage, Accelerator(cpu=True), epochs=6, schedule=schedule)
            if epochs < 6:
                stage.validate = stop_at(epochs, stage.validate)
                with pytest.raises(KeyboardInterrupt):
                    trainer.fit(resume=bool(number))
            else:
                trainer.fit(resume=bool(number))
        return trainer, stage

    (whole, of_whole), (parts, of_parts) = run("whole", 6), run("parts", 3, 6)
    assert rates(whole) == rates(parts)
    for one, other in zip(of_whole.module.parameters(), of_parts.module.parameters(), strict=True):
        assert torch.equal(one, other)


def stop_at(epoch, validate):
    """Validation that is interrupted in an epoch."""

    def interrupted(now):
        if now == epoch:
            raise KeyboardInterrupt
        return validate(now)

    return interrupted


def test_every_step_has_its_own_rate(tmp_path):
    stage, seen = Toy(ranks=(1.0, 2.0)), []
    schedule = Schedule("cosine", warmup=2)  # of 2 epochs with 3 steps: two rise, the others go down
    trainer = toy_trainer(tmp_path, stage, Accelerator(cpu=True), epochs=2, schedule=schedule)
    stage.on_gradients = lambda *_: seen.append(trainer.raw_optimizer.param_groups[0]["lr"])
    trainer.fit()
    down = [(1 + math.cos(math.pi * part / 4)) / 2 for part in range(4)]
    assert seen == pytest.approx([0.1 * factor for factor in (0.5, 1.0, *down)])

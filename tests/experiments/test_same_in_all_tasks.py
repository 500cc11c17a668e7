"""What every task's program does alike, asked of each in the same words."""

import shutil
from dataclasses import dataclass, replace

import pytest
import torch

from experiments.avqa import run as avqa
from experiments.classification import compare
from experiments.continual import run as continual
from experiments.sweep import command_line, execution
from iemf import pool
from iemf.files import read_json
from iemf.modulation import InverseEffectiveness
from iemf.training import RunFolder, Step, Trainer, checkpoint
from tests import released_features
from tests.conftest import write_clip
from tests.experiments import helpers
from tests.iemf.avqa.test_music_avqa import tree as music_tree

VARIANTS = ("vanilla", "joint", "iemf")


def folder_tree(root):
    for label, pitch in (("high", 1600.0), ("low", 300.0)):
        for split, count in (("train", 8), ("test", 3)):
            for i in range(count):
                write_clip(root / split / label, f"clip {i}", seed=100 * count + i, pitch=pitch)


@dataclass(frozen=True)
class Task:
    """A program, the options that make its runs small, and data of the user's own for it."""

    program: str
    room: object
    method: str  # in the names of folders
    embedded: tuple
    files: tuple
    write: object  # data of one's own
    damage: str  # a file that makes them other data, once it is there or changed
    measure: str = "test_accuracy"

    def options(self, cache):
        extra = ("--cache", cache) if self.program == "avqa" else ()
        return [*self.embedded, *extra, "--seeds", 0, "--no-progress"]

    def sweep(self, cache, *options):
        """(exit code, stdout, stderr); later options win."""
        return helpers.call(self.program, *self.options(cache), *options)

    def runs(self, cache, *options):
        """The resolved runs of a sweep, as it would train them."""
        arguments = [str(option) for option in (*self.options(cache), *options)]
        config = command_line.parse(command_line.configs()[self.program], arguments, self.program)
        return [replace(run, resume=True, progress=False) for run in self.room.grid(config)]

    def train(self, run):
        return self.room.TASK.train(run)


TASKS = {
    "compare": Task(
        "compare", compare, "concat",
        ("--methods", "concat", "--networks", "ann", "--epochs", 1, "--width", 2, "--batch-size", 80),
        ("--dataset", "folder", "--methods", "concat", "--networks", "ann", "--epochs", 1, "--width", 2, "--batch-size",
         7, "--image-size", 32, "--seconds", 0.2, "--workers", 0),
        folder_tree, "train/low/clip 9.wav",
    ),
    "continual": Task(
        "continual", continual, "lwf",
        ("--methods", "lwf", "--epochs", 1, "--features", 4, "--batch-size", 24),
        ("--dataset", "ave-ci", "--methods", "lwf", "--epochs", 1, "--features", 4, "--batch-size", 24),
        lambda root: released_features.write(root, "ave-ci"), "all_classId_vid_dict.npy", "mean_accuracy",
    ),
    "avqa": Task(
        "avqa", avqa, "baseline",
        ("--models", "baseline", "--epochs", 1, "--width", 4, "--batch-size", 64),
        ("--dataset", "music-avqa", "--models", "baseline", "--epochs", 1, "--width", 4),
        music_tree, "json/avqa-test.json",
    ),
}  # fmt: skip


@pytest.fixture(params=TASKS)
def task(request):
    return TASKS[request.param]


@pytest.fixture(scope="module")
def grids(digits_qa, tmp_path_factory):
    """{program: (folder of a finished sweep of three variants and two seeds, what it printed)}, made when asked for."""
    made = {}

    def grid(task):
        if task.program not in made:
            out = tmp_path_factory.mktemp(task.program)
            code, told, err = task.sweep(digits_qa, "--seeds", 0, 1, "--out", out)
            assert code == 0, err
            made[task.program] = out, told
        return made[task.program]

    return grid


def names(out):
    return sorted(path.name for path in (out / "runs").iterdir())


def without_times(record):
    return {name: value for name, value in record.items() if not name.startswith("seconds")}


def test_iemf_selects_iemf(task, digits_qa, tmp_path):
    def variants(*flags):
        return [run.variant for run in task.runs(digits_qa, *flags, "--out", tmp_path)]

    assert variants() == list(VARIANTS)
    assert variants("--iemf") == ["iemf"]
    assert variants("--joint") == ["joint"]
    assert variants("--iemf", "--joint") == ["joint", "iemf"]
    assert variants("--no-iemf") == ["vanilla", "joint"]
    assert variants("--no-joint") == ["vanilla", "iemf"]
    code, _, err = task.sweep(digits_qa, "--iemf", "--out", tmp_path)
    assert code == 0, err
    assert names(tmp_path) == [f"ann-{task.method}-iemf-seed0"]
    assert [cell["variant"] for cell in read_json(tmp_path / "results.json")["cells"]] == ["iemf"]


def test_another_gamma_has_runs_of_its_own(task, grids, digits_qa, tmp_path):
    out = shutil.copytree(grids(task)[0], tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.json") if path.parent != out}
    accuracies = {cell["variant"]: cell[task.measure] for cell in read_json(out / "results.json")["cells"]}
    code, told, err = task.sweep(digits_qa, "--gamma", 2, "--seeds", 0, 1, "--out", out)
    assert code == 0, err
    assert "6 runs: 4 finished, 2 to go" in told
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {name for name in names(out) if "gamma" in name} == {
        f"ann-{task.method}-iemf-gamma2-seed{seed}" for seed in (0, 1)}  # fmt: skip
    assert read_json(out / "runs" / f"ann-{task.method}-iemf-gamma2-seed0" / "config.json")["gamma"] == 2.0
    assert "gamma" not in read_json(out / "runs" / f"ann-{task.method}-joint-seed0" / "config.json")
    cells = {cell["variant"]: cell for cell in read_json(out / "results.json")["cells"]}
    assert all(cells[variant][task.measure] == accuracies[variant] for variant in ("vanilla", "joint"))
    assert read_json(out / "results.json")["settings"]["gamma"] == 2.0
    code, _, err = task.sweep(digits_qa, "--gamma", 2, "--no-iemf", "--out", tmp_path / "x")
    assert code == 2
    assert "--gamma 2 is read with --iemf only, by none of the runs; leave it out" in err


def test_a_xi_of_one_is_joint_learning_bit_for_bit_and_a_shuffled_one_is_not(task, digits_qa, tmp_path):
    weights, applied = {}, {}
    for name, options in (
        ("joint", ["--joint"]),
        ("one", ["--iemf", "--xi", 1]),
        ("shuffled", ["--iemf", "--xi", "shuffled"]),
    ):
        out = tmp_path / name
        code, _, err = task.sweep(digits_qa, "--optimizer", "sgd", "--epochs", 2, *options, "--out", out)
        assert code == 0, err
        (run,) = (out / "runs").iterdir()
        weights[name] = checkpoint.load(RunFolder(run).last_checkpoint)["network"]
        applied[name] = [record["xi"] for record in RunFolder(run).metrics()]
    assert names(tmp_path / "one") == [f"ann-{task.method}-iemf-xi1-seed0"]
    assert names(tmp_path / "shuffled") == [f"ann-{task.method}-iemf-xi-shuffled-seed0"]
    assert set(applied["joint"]) == {None}
    assert set(applied["one"]) == {1.0}
    assert None not in applied["shuffled"]
    assert 1.0 not in applied["shuffled"]
    for name, tensor in weights["joint"].items():
        assert torch.equal(tensor, weights["one"][name]), name
    assert any(not torch.equal(tensor, weights["shuffled"][name]) for name, tensor in weights["joint"].items())


def test_the_last_epoch_with_xi(task, digits_qa, tmp_path):
    code, _, err = task.sweep(digits_qa, "--iemf", "--epochs", 3, "--modulate-to", 0, "--out", tmp_path)
    assert code == 0, err
    assert names(tmp_path) == [f"ann-{task.method}-iemf-modulate-to0-seed0"]
    records = RunFolder(tmp_path / "runs" / names(tmp_path)[0]).metrics()
    assert [record["xi"] is not None for record in records] == [record["epoch"] == 0 for record in records]


def test_data_that_lie_elsewhere_are_the_same_data_and_others_are_not(task, small, tmp_path):
    def attempt(root, *options):
        helpers.forget()  # as in a new process
        arguments = [
            *task.files,
            "--data-root",
            root,
            "--variants",
            "vanilla",
            "--no-progress",
            "--out",
            tmp_path / "out",
        ]
        return helpers.call(task.program, *arguments, *options)

    first, second = tmp_path / "first", tmp_path / "elsewhere" / "second"
    task.write(first)
    code, _, err = attempt(first, "--seeds", 0)
    assert code == 0, err
    assert "data_digest" in read_json(next((tmp_path / "out" / "runs").iterdir()) / "config.json")
    second.parent.mkdir()
    shutil.move(first, second)
    code, out, err = attempt(second, "--seeds", 0, 1)
    assert code == 0, err
    assert "2 runs: 1 finished, 1 to go" in out
    file = second / task.damage
    if task.program == "avqa":
        file.write_text(file.read_text().replace("nine", "one"))
    elif task.program == "compare":
        write_clip(file.parent, file.stem, seed=1, pitch=300.0)
    else:
        content = released_features.np.load(file, allow_pickle=True).item()
        content["train"][0].reverse()
        released_features.np.save(file, content)
    code, _, err = attempt(second, "--seeds", 0, 1, 2)
    assert code == 2
    assert "config.json has data_digest=" in err
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 2


def test_a_run_that_diverges_does_not_cost_the_table(task, digits_qa, monkeypatch, tmp_path):
    fit = Trainer.fit

    def far_too_fast(self, resume=False):
        if "joint" in self.folder.path.name:
            self.rates, self.factor = [1e30] * len(self.rates), None
        return fit(self, resume)

    monkeypatch.setattr(Trainer, "fit", far_too_fast)
    code, out, err = task.sweep(digits_qa, "--out", tmp_path)
    assert code == 2
    assert [line for line in err.splitlines() if "error" in line] == err.splitlines()[-1:]
    assert "1 of 3 runs failed, the table has the others." in err
    assert f"ann-{task.method}-joint-seed0: training diverged" in err
    assert "lower --lr" in err
    assert "--clip-norm 1" in err
    assert [cell["variant"] for cell in read_json(tmp_path / "results.json")["cells"]] == ["vanilla", "iemf"]
    assert "1 run(s) of the grid are not finished" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "table.md").read_text().strip() in out
    assert not (tmp_path / "runs" / f"ann-{task.method}-joint-seed0" / "results.json").exists()


def test_killed_in_training_it_goes_on_at_its_epoch_and_ends_the_same(task, digits_qa, monkeypatch, tmp_path):
    def run_in(name):
        return task.runs(digits_qa, "--iemf", "--epochs", 3, "--out", tmp_path / name)[0]

    whole, killed = run_in("whole"), run_in("killed")
    expected = task.train(whole)
    part, last = ({"task": 1}, {"task": 4}) if task.program == "continual" else ({}, {})
    step, train_epoch = Step.__call__, Trainer._train_epoch

    def stop(self, batch, epoch):
        told = step(self, batch, epoch)
        if self.stage.about == part and epoch == 1:
            raise KeyboardInterrupt
        return told

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            task.train(killed)
    folder = RunFolder(killed.out)
    assert folder.results() is None
    done = folder.metrics()
    assert done[-1].items() >= (part | {"epoch": 0}).items()
    trained = []

    def counted(self, epoch, bar):
        trained.append(self.stage.about | {"epoch": epoch})
        return train_epoch(self, epoch, bar)

    monkeypatch.setattr(Trainer, "_train_epoch", counted)
    assert without_times(task.train(killed)) == without_times(expected)
    assert trained[0] == part | {"epoch": 1}
    assert trained[-1] == last | {"epoch": 2}
    assert len(done) + len(trained) == len(RunFolder(whole.out).metrics())
    both = [[without_times(record) for record in RunFolder(run.out).metrics()] for run in (whole, killed)]
    assert both[0] == both[1]
    for name in ("best_checkpoint", "last_checkpoint"):
        one, other = (checkpoint.load(getattr(RunFolder(run.out), name))["network"] for run in (whole, killed))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_fusion_without_evidence_is_one_line(task, digits_qa, monkeypatch, tmp_path):
    measure = InverseEffectiveness.measure

    def nothing(self, *arguments):
        return measure(self, *arguments)._replace(fused=torch.zeros(()))

    monkeypatch.setattr(InverseEffectiveness, "measure", nothing)
    code, _, err = task.sweep(digits_qa, "--iemf", "--out", tmp_path)
    assert (code, len([line for line in err.splitlines() if "error" in line])) == (2, 1)
    assert "all 1 runs failed" in err
    assert "S_av was 0 in" in err
    assert "lower --lr" in err
    code, _, err = task.sweep(digits_qa, "--variants", "vanilla", "--out", tmp_path)
    assert code == 0, err


def test_what_a_run_leaves(task, grids):
    out = grids(task)[0]
    for variant in VARIANTS:
        folder = RunFolder(out / "runs" / f"ann-{task.method}-{variant}-seed0")
        results, records = folder.results(), folder.metrics()
        assert checkpoint.load(folder.best_checkpoint)["network"].keys() == (
            checkpoint.load(folder.last_checkpoint)["network"].keys())  # fmt: skip
        assert list((folder.path / "tensorboard").glob("events.*"))
        assert {"seed", "device", "torch", "best_epoch", "test_accuracy", "xi"} <= results.keys()
        assert "firing_rate" not in results
        for record in records:
            assert {"epoch", "loss", "val_loss", "val_accuracy_fused", "lr", "seconds"} <= record.keys()
            for name in ("xi", "s_unimodal", "s_fused"):
                assert (record[name] is not None) == (variant == "iemf")
            if variant == "iemf":
                assert 0 < record["s_unimodal"] < 1
                assert 0 < record["s_fused"] < 1
        assert (results["xi"] is not None) == (variant == "iemf")
        found = {name for name in results if name.startswith(("xi_", "s_"))}
        if variant != "iemf":
            assert not found
            continue
        assert found == {"xi_val", "xi_test", "xi_test_batches", "s_unimodal_test", "s_fused_test"}
        assert results["xi_test"] == pytest.approx(sum(results["xi_test_batches"]) / len(results["xi_test_batches"]))
        assert results["xi_val"] == pytest.approx(sum(record["xi_val"] for record in records) / len(records))
        assert all(0 < record["xi_val"] < 1.7617 for record in records)


def test_a_network_that_has_learnt_nothing_is_named_with_what_to_try(task, digits_qa, tmp_path):
    code, _, err = task.sweep(digits_qa, "--variants", "vanilla", "--lr", 1e-12, "--out", tmp_path)
    assert code == 0, err
    (line,) = [line for line in err.splitlines() if "near chance" in line]
    assert line.startswith(f"ann-{task.method}-vanilla-seed0: training accuracy is ")
    assert "try --lr 3e-12 or 3.3e-13, more than --epochs 1" in line
    last = RunFolder(tmp_path / "runs" / f"ann-{task.method}-vanilla-seed0").metrics()[-1]
    assert f"{last['train_accuracy_fused']:.1f} % at the end, near chance ({last['chance']:.1f} %" in line


def test_the_gradient_is_clipped_and_the_precision_taken(task, digits_qa, monkeypatch, tmp_path):
    clip, forward = torch.nn.utils.clip_grad_norm_, torch.nn.Linear.forward
    norms, half = set(), set()

    def clipped(parameters, norm):
        norms.add(norm)
        return clip(parameters, norm)

    def seen(self, x):
        half.add(torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu"))
        return forward(self, x)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clipped)
    monkeypatch.setattr(torch.nn.Linear, "forward", seen)
    code, _, err = task.sweep(digits_qa, "--variants", "vanilla", "--out", tmp_path / "plain")
    assert code == 0, err
    assert not norms
    assert half == {False}
    code, _, err = task.sweep(digits_qa, "--iemf", "--clip-norm", 0.5, "--precision", "bf16", "--out", tmp_path / "x")
    assert code == 0, err
    assert norms == {0.5}
    assert torch.bfloat16 in half
    config = read_json(tmp_path / "x" / "runs" / f"ann-{task.method}-iemf-seed0" / "config.json")
    assert (config["clip_norm"], config["precision"]) == (0.5, "bf16")
    code, _, err = task.sweep(digits_qa, "--iemf", "--clip-norm", 0.6, "--precision", "bf16", "--out", tmp_path / "x")
    assert code == 2
    assert "config.json has clip_norm=0.5, this run 0.6" in err


def test_firing_rates_of_spiking_runs(task, digits_qa, tmp_path):
    code, _, err = task.sweep(digits_qa, "--networks", "snn", "--time-steps", 2, "--iemf", "--out", tmp_path)
    assert code == 0, err
    (cell,) = read_json(tmp_path / "results.json")["cells"]
    results = read_json(tmp_path / "runs" / f"snn-{task.method}-iemf-seed0" / "results.json")
    assert cell["firing_rate"]["values"] == [results["firing_rate"]]
    assert 0 < results["firing_rate"] < 1
    assert all({"layer", "modality", "rate", "silent", "neurons"} <= layer.keys()
               for layer in results["firing_rate_layers"])  # fmt: skip
    assert read_json(tmp_path / "runs" / f"snn-{task.method}-iemf-seed0" / "config.json")["time_steps"] == 2
    code, _, err = task.sweep(digits_qa, "--networks", "ann", "--time-steps", 2, "--out", tmp_path)
    assert code == 2
    assert "--time-steps 2 is read with --network snn only, by none of the runs" in err


def test_a_plan_trains_nothing(task, grids, digits_qa, tmp_path):
    """In a new folder, and beside finished runs."""
    code, out, err = task.sweep(digits_qa, "--dry-run", "--seeds", 0, 1, "--out", tmp_path / "out")
    assert code == 0, err
    assert "6 runs, 0 of them finished; about " in out
    assert [row[2] for row in helpers.rows_of(out)] == list(VARIANTS)
    assert not (tmp_path / "out").exists()
    code, out, err = task.sweep(digits_qa, "--dry-run", "--seeds", 0, 1, 2, "--out", grids(task)[0])
    assert code == 0, err
    assert "9 runs, 6 of them finished; about " in out


def test_what_is_finished_is_collected(task, grids, digits_qa, monkeypatch, tmp_path):
    out = shutil.copytree(grids(task)[0], tmp_path / "out")
    shutil.rmtree(out / "runs" / f"ann-{task.method}-joint-seed1")
    monkeypatch.setattr(Trainer, "fit", None)  # nothing may be trained
    code, told, err = task.sweep(digits_qa, "--collect", "--seeds", 0, 1, "--out", out)
    assert code == 0, err
    assert "1 run(s) of the grid are not finished" in told
    cells = read_json(out / "results.json")["cells"]
    assert [(cell["variant"], cell["n"], cell["seeds"]) for cell in cells] == [
        ("vanilla", 2, [0, 1]), ("joint", 1, [0]), ("iemf", 2, [0, 1])]  # fmt: skip
    code, _, err = task.sweep(digits_qa, "--collect", "--out", tmp_path / "empty")
    assert code == 2
    assert "no finished run under" in err
    assert "leave out --collect" in err


def test_jobs_are_processes_at_a_time(task, digits_qa, monkeypatch, tmp_path):
    asked = []

    def here(function, jobs, processes, **options):
        asked.append((len(jobs), processes))
        return helpers.in_this_process(function, jobs, processes)

    monkeypatch.setattr(execution, "in_processes", here)
    code, out, err = task.sweep(digits_qa, "--jobs", 2, "--no-joint", "--out", tmp_path)
    assert code == 0, err
    assert asked == [(2, 2)]
    assert "2 runs: 0 finished, 2 to go, 2 at a time" in out
    code, _, err = task.sweep(digits_qa, "--jobs", 0, "--out", tmp_path)
    assert code == 2
    assert "--jobs 0 must be 1 or more" in err


@pytest.mark.parametrize("name", ["continual", "avqa"])  # of compare: classification/test_compare.py
def test_a_run_trains_in_a_process_of_its_own(name, monkeypatch, tmp_path):
    monkeypatch.setattr(execution, "in_processes", pool.in_processes)
    task = TASKS[name]
    task.write(tmp_path / "data")
    code, out, err = helpers.call(name, *task.files, "--data-root", tmp_path / "data", "--iemf", "--seeds", 0, "--jobs",
                                  2, "--no-progress", "--out", tmp_path / "out")  # fmt: skip
    assert code == 0, err
    assert names(tmp_path / "out") == [f"ann-{task.method}-iemf-seed0"]
    assert (tmp_path / "out" / "table.md").read_text().strip() in out


def test_tables_and_results_say_the_same(task, grids):
    out, told = grids(task)
    table = (out / "table.md").read_text()
    assert table.strip() in told
    assert "mean ± standard deviation over 2 seeds (0, 1); differences are paired by seed" in table
    for difference in ("IEMF − vanilla", "IEMF − joint", "joint − vanilla"):
        assert f"{difference}: " in table
    assert "paired differences are positive" in table
    assert "by a paired t-test at 5 %, uncorrected." in table
    content = read_json(out / "results.json")
    assert content["settings"]["dataset"].startswith("av-digits")
    assert [(cell["network"], cell["variant"], cell["n"], cell["seeds"]) for cell in content["cells"]] == [
        ("ann", variant, 2, [0, 1]) for variant in VARIANTS]  # fmt: skip
    for cell in content["cells"]:
        stored = [RunFolder(out / "runs" / f"ann-{task.method}-{cell['variant']}-seed{seed}").results()
                  for seed in (0, 1)]  # fmt: skip
        for quantity in {task.measure, "test_accuracy", "test_accuracy_audio", "test_accuracy_visual"}:
            values = [results[quantity] for results in stored]
            assert cell[quantity]["values"] == values
            assert cell[quantity]["mean"] == pytest.approx(sum(values) / 2)
            assert cell[quantity]["std"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
        for name in ("xi", "xi_val", "xi_test"):
            assert (name in cell) == (cell["variant"] == "iemf")
        assert f"{cell[task.measure]['mean']:.2f} ± {cell[task.measure]['std']:.2f}" in table

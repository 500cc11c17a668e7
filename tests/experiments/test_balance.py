"""A balancing method is one word in every task's program: --balance."""

from types import SimpleNamespace

import pytest

from experiments.sweep import command_line
from experiments.sweep.build import heads_train
from iemf.balance import METHODS
from iemf.files import read_json
from iemf.training import RunFolder, Step, checkpoint
from tests.experiments import helpers
from tests.experiments.test_same_in_all_tasks import TASKS

BALANCES = [(name, balance) for name, balances in
            (("compare", ("concat", "mslr", "ogm-ge", "lfm", "mmpareto", "agm", "pmr", "g-blending")),
             ("continual", ("mslr", "ogm-ge", "lfm", "mmpareto", "agm", "pmr", "g-blending")),
             ("avqa", ("mslr", "ge", "lfm", "mmpareto", "pmr", "g-blending"))) for balance in balances]  # fmt: skip


def part_of(task, balance):
    """Of the names of folders."""
    return balance if task.program == "compare" else f"{task.method}+{balance}"


def options_of(task, cache):
    """Without what a task compares by itself, if that is balancing."""
    options = [*task.options(cache)]
    if task.program == "compare":
        del options[options.index("--methods") : options.index("--methods") + 2]
    return options


@pytest.mark.parametrize(("name", "balance"), BALANCES)
def test_it_trains_in_all_variants(name, balance, digits_qa, tmp_path):
    task = TASKS[name]
    code, told, err = helpers.call(name, *options_of(task, digits_qa), "--balance", balance, "--out", tmp_path)
    assert code == 0, err
    part = part_of(task, balance)
    # A rule for the heads' losses has them in vanilla runs too, which are those with joint learning then.
    variants = [v for v in ("vanilla", "joint", "iemf") if v != "vanilla" or not METHODS[balance].needs_heads]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        f"ann-{part}-{variant}-seed0" for variant in sorted(variants)]  # fmt: skip
    assert [(cell["network"], cell.get("method", cell.get("model")), cell["variant"])
            for cell in read_json(tmp_path / "results.json")["cells"]] == [
        ("ann", part, variant) for variant in variants]  # fmt: skip
    assert any(row[0].endswith(METHODS[balance].label) for row in helpers.rows_of(told))
    assert helpers.call(name, *options_of(task, digits_qa), "--balance", balance, "--dry-run", "--out",
                        tmp_path / "plan")[0] == 0  # fmt: skip


@pytest.fixture(params=["continual", "avqa"])
def task(request):
    return TASKS[request.param]


def test_several_at_once_and_plain_runs_are_those_of_before(task, digits_qa, tmp_path):
    code, _, err = task.sweep(digits_qa, "--variants", "vanilla", "--out", tmp_path)
    assert code == 0, err
    plain = RunFolder(tmp_path / "runs" / f"ann-{task.method}-vanilla-seed0")
    assert "balance" not in plain.read_config()
    before = plain.results_file.stat().st_mtime_ns
    code, told, err = task.sweep(
        digits_qa, "--variants", "vanilla", "--balance", "concat", "mslr", "lfm", "--out", tmp_path
    )
    assert code == 0, err
    assert "3 runs: 1 finished, 2 to go" in told
    assert plain.results_file.stat().st_mtime_ns == before
    folders = {name: RunFolder(tmp_path / "runs" / f"ann-{task.method}+{name}-vanilla-seed0")
               for name in ("mslr", "lfm")}  # fmt: skip
    assert {name: folder.read_config()["balance"] for name, folder in folders.items()} == {"mslr": "mslr", "lfm": "lfm"}
    losses = {folder.metrics()[-1]["loss_fused"] for folder in (plain, *folders.values())}
    assert len(losses) == 3
    assert "balance" not in read_json(tmp_path / "results.json")["settings"]
    code, _, err = task.sweep(digits_qa, "--balance", "mslr", "mslr", "--out", tmp_path)
    assert code == 2
    assert "--balance mslr mslr: name at least one, each once" in err


def test_its_state_is_in_the_checkpoint_and_goes_on(task, digits_qa, monkeypatch, tmp_path):
    def run_in(name):
        return task.runs(digits_qa, "--iemf", "--balance", "mslr", "--epochs", 3, "--out", tmp_path / name)[0]

    whole, killed = run_in("whole"), run_in("killed")
    expected = task.train(whole)
    part, step = {"task": 1} if task.program == "continual" else {}, Step.__call__

    def stop(self, batch, epoch):
        if self.stage.about == part and epoch == 2:
            raise KeyboardInterrupt
        return step(self, batch, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            task.train(killed)
    records = [record for record in RunFolder(killed.out).metrics() if record.items() >= part.items()]
    history = checkpoint.load(RunFolder(killed.out).last_checkpoint)["stage"]["history"]
    assert history == {modality: [record[f"val_accuracy_{modality}"] for record in records]
                       for modality in ("audio", "visual")}  # fmt: skip
    assert len(history["audio"]) == 2  # of this task alone
    again = task.train(killed)
    assert {name: value for name, value in again.items() if "session" not in name} == {
        name: value for name, value in expected.items() if "session" not in name}  # fmt: skip


def test_factors_are_on_adams_step_and_on_its_gradient_if_told(task, digits_qa, tmp_path):
    def run_in(scale, *options):
        return task.runs(digits_qa, "--variants", "vanilla", "--balance", "mslr", *options, "--out", tmp_path / scale)[
            0
        ]

    by_default, told = run_in("step"), run_in("gradient", "--balance-scale", "gradient")
    assert [run.balance_scale for run in (by_default, told)] == ["step", "gradient"]
    assert run_in("sgd", "--optimizer", "sgd", "--lr", 0.01).balance_scale is None
    task.train(by_default)
    with pytest.warns(UserWarning, match="takes a factor on the gradient away again"):
        task.train(told)
    step, gradient = (RunFolder(run.out).metrics()[-1]["loss_fused"] for run in (by_default, told))
    assert step != gradient
    assert RunFolder(by_default.out).read_config()["method_epochs"] == 100


def test_options_of_balancing_are_refused_without_it(task, digits_qa, tmp_path):
    for option, value, who in (
        ("--balance-scale", "step", "mslr, ogm-ge, agm, mmpareto, ogm"),
        ("--method-epochs", 9, "mslr"),
    ):
        code, _, err = task.sweep(digits_qa, option, value, "--out", tmp_path)
        assert code == 2
        assert f"{option} {value} is read with --balance {who}" in err


def test_a_schedule_is_stretched_over_the_epochs_of_the_run(task, digits_qa, tmp_path):
    """Two epochs stand for --method-epochs: of 200 the second is the 100th, behind MSLR's last; of 2 it is itself."""
    applied = {}
    for meant in (200, 2):
        options = ("--variants", "vanilla", "--balance", "mslr", "--epochs", 2, "--method-epochs", meant)
        run = task.runs(digits_qa, *options, "--out", tmp_path / str(meant))[0]
        task.train(run)
        records = [record for record in RunFolder(run.out).metrics() if record.get("task", 0) == 0]
        applied[meant] = [record["loss_fused"] for record in records]
    assert applied[200][0] == applied[2][0]
    assert applied[200][1] != applied[2][1]


def test_where_the_fusion_does_not_split_ogm_ge_is_refused(digits_qa, tmp_path):
    code, _, err = TASKS["avqa"].sweep(digits_qa, "--balance", "concat", "ogm-ge", "--out", tmp_path / "out")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "--balance ogm-ge needs a fusion whose logits split by modality" in err
    assert "leave it out" in err
    assert not (tmp_path / "out").exists()
    code, _, err = TASKS["avqa"].sweep(digits_qa, "--balance", "agm", "--out", tmp_path / "out")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "--balance agm needs a fusion that reads the modalities' features alone" in err


def test_training_one_classifier_knows_the_word_too():
    kind = command_line.configs()["classification"]
    assert command_line.parse(kind, ["--balance", "mslr"], "train") == command_line.parse(
        kind, ["--method", "mslr"], "train")  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_heads_train_the_encoders_where_the_method_or_the_variant_says_so(name):
    for variant in ("vanilla", "joint", "iemf"):
        run = SimpleNamespace(variant=variant)
        assert heads_train(run, name) == (variant != "vanilla" or name in ("mmpareto", "g-blending"))


def test_vanilla_of_a_rule_for_the_heads_losses_is_joint_learning(task, digits_qa, tmp_path):
    of = ("--balance", "mmpareto", "concat")
    both = task.runs(digits_qa, "--variants", "vanilla", "joint", *of, "--out", tmp_path / "both")
    assert [(run.balance, run.variant) for run in both] == [("mmpareto", "joint"), (None, "vanilla"), (None, "joint")]
    vanilla = task.runs(digits_qa, "--variants", "vanilla", *of, "--out", tmp_path / "vanilla")
    losses = {}
    for run in [*both, *vanilla]:
        task.train(run)
        losses[run.balance, run.variant] = RunFolder(run.out).metrics()[-1]["loss_fused"]
    assert losses["mmpareto", "vanilla"] == losses["mmpareto", "joint"]
    assert losses[None, "vanilla"] != losses[None, "joint"]

"""Runs of one modality: what they begin with, what they refuse, what a comparison makes of them."""

import csv
import json
from dataclasses import replace

import pytest
import torch
from accelerate.utils import set_seed

from experiments.classification import build, compare, report, run
from experiments.classification.alone_report import better_alone, fusion_in_words, heads_table
from experiments.classification.compare import CompareConfig, grid
from experiments.classification.options import RunConfig, resolve
from experiments.classification.robustness import find_runs
from experiments.sweep.command_line import as_options
from iemf.analysis import plots
from iemf.data.base import AudioVisualData, KeepInputs
from iemf.errors import UserError
from iemf.training import RunFolder, checkpoint
from tests.experiments import helpers

SMALL = RunConfig(modality="audio", epochs=3, width=2, batch_size=60, progress=False)
GRID = CompareConfig(epochs=1, width=2, batch_size=120, methods=("concat", "lfm"), variants=("vanilla", "joint"),
                     seeds=(0, 1), time_steps=2, unimodal=True, jobs=1, progress=False)  # fmt: skip
DATA = AudioVisualData("none", ("a", "b"), *[range(0)] * 3, audio_channels=1, visual_channels=3, front_end=KeepInputs())


@pytest.fixture(scope="module")
def compared(small, tmp_path_factory):
    config = replace(GRID, out=tmp_path_factory.mktemp("unimodal"))
    compare.main(config)
    return config


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """A finished run of one modality."""
    config = replace(SMALL, out=tmp_path_factory.mktemp("one") / "whole")
    return config, run.train(config)


def begun(**options):
    set_seed(5)
    return build.build_network(resolve(RunConfig(width=2, **options)), DATA)


def weights(module):
    return torch.cat([p.flatten() for p in module.parameters()])


@pytest.mark.parametrize("network", ["ann", "snn"])
@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_encoder_and_head_begin_as_those_of_the_multimodal_network(network, modality):
    one, both = begun(network=network, modality=modality), begun(network=network, iemf=True)
    assert list(one.encoders) == [modality]
    assert torch.equal(weights(one.encoder), weights(both.encoders[modality]))
    assert torch.equal(weights(one.head), weights(both.heads[modality]))
    assert weights(one).numel() == weights(one.encoder).numel() + weights(one.head).numel()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "ogm-ge"}, "--method ogm-ge is read with runs without --modality only; leave it out"),
        ({"fusion": "sum"}, "--fusion sum is read with runs without --modality only"),
        ({"iemf": True}, "--iemf is read with runs without --modality only"),
        ({"joint": True}, "--joint is read with runs without --modality only"),
        ({"gamma": 2.0}, "--gamma 2 is read with --iemf only"),
        ({"balance_scale": "step"}, "--balance-scale step is read with --method"),
        ({"modality": None, "start": "x"}, "--start x is read with --modality only"),
        ({"start": "x"}, "no finished run with its best.pt"),
    ],
)
def test_what_does_not_apply_is_refused_in_one_line(options, message, tmp_path):
    if "start" in options:
        options = options | {"start": tmp_path / options["start"]}
        message = message.replace("--start x", f"--start {tmp_path / 'x'}")
    with pytest.raises(UserError) as error:
        resolve(replace(SMALL, **options))
    assert message in as_options(str(error.value))
    assert "\n" not in str(error.value)


def test_a_run_stores_what_it_reads_and_runs_of_both_store_what_they_did(tmp_path):
    stored = resolve(SMALL).stored()
    assert stored["modality"] == "audio"
    assert not {"method", "fusion", "iemf", "joint", "gamma", "method_epochs", "start", "paper"} & set(stored)
    assert resolve(RunConfig.from_stored(stored)) == resolve(SMALL)
    both = resolve(RunConfig()).stored()
    assert (both["method"], both["fusion"], both["iemf"], both["joint"]) == ("concat", "concat", False, False)
    assert not {"modality", "start", "start_digest"} & set(both)
    assert "paper" not in resolve(replace(SMALL, dataset="crema-d", data_root=tmp_path)).stored()


def test_results_and_weights_are_those_of_one_modality(whole):
    config, results = whole
    assert results["test_accuracy"] == results["test_accuracy_audio"]
    assert "test_accuracy_visual" not in results
    kept = checkpoint.load(RunFolder(config.out).best_checkpoint)["network"]
    assert results["parameters"] == weights(begun(modality="audio")).numel() + 8 * 17  # ten classes, not two
    assert {name.split(".")[0] for name in kept} == {"encoder", "head"}


def test_killed_and_resumed_it_has_the_results_of_a_whole_one(whole, tmp_path, monkeypatch):
    from iemf.training.step import Step

    original, seen = Step.__call__, []

    def step(self, batch, epoch):
        seen.append(epoch)
        if seen.count(1) == 2:
            raise KeyboardInterrupt
        return original(self, batch, epoch)

    config = replace(SMALL, out=tmp_path / "broken")
    with monkeypatch.context() as patched:
        patched.setattr(Step, "__call__", step)
        with pytest.raises(KeyboardInterrupt):
            run.train(config)
    assert len(RunFolder(config.out).metrics()) == 1
    again = run.train(replace(config, resume=True))
    drop = "seconds_this_session"
    assert {k: v for k, v in again.items() if k != drop} == {k: v for k, v in whole[1].items() if k != drop}
    for a, b in zip(*(checkpoint.load(RunFolder(c.out).last_checkpoint)["network"].values()
                      for c in (config, whole[0])), strict=True):  # fmt: skip
        assert torch.equal(a, b)


def test_a_run_begins_with_the_weights_it_is_given(whole, compared):
    both = compared.out / "runs" / "ann-lfm-joint-seed1"
    for start in (whole[0].out, both):
        config = resolve(replace(SMALL, start=start, batch_size=60))
        network = build.build_network(config, replace(DATA, classes=tuple("abcdefghij"), visual_channels=1))
        kept = checkpoint.load(RunFolder(start).best_checkpoint)["network"]
        prefix = "" if start == whole[0].out else "audio_"
        for name, value in network.state_dict().items():
            assert torch.equal(value, kept[prefix + name]), name


def test_a_start_that_does_not_fit_or_has_changed_is_refused(whole, compared, tmp_path):
    def refused(**options):
        with pytest.raises(UserError) as error:
            resolve(replace(SMALL, start=whole[0].out, **options))
        return as_options(str(error.value))

    assert "has width=2, this run 4; train with the same" in refused(width=4)
    assert "is of --modality audio, this run of visual" in refused(modality="visual")
    assert "has network='ann', this run 'snn'" in refused(network="snn")
    with pytest.raises(UserError, match="has changed since the run began"):
        build.build_network(replace(resolve(replace(SMALL, start=whole[0].out)), start_digest="0" * 16), DATA)


def test_a_grid_has_one_run_a_network_modality_and_seed():
    one = [r for r in grid(GRID) if r.modality]
    assert len(one) == 2 * 2 * 2
    assert len(grid(GRID)) == len(grid(replace(GRID, unimodal=False))) + len(one)
    assert [r for r in grid(GRID) if not r.modality] == grid(replace(GRID, unimodal=False))
    assert {r.out.name for r in one if r.seed == 0} == {f"{n}-{m}-alone-seed0" for n in ("ann", "snn")
                                                        for m in ("audio", "visual")}  # fmt: skip


def test_rates_that_were_tuned_for_both_are_not_taken_for_one(tmp_path):
    with pytest.raises(UserError, match="has nothing for networks of one modality"):
        grid(replace(GRID, tuned=tmp_path / "tuned.json"))


def test_a_grid_with_options_of_iemf_and_of_fusion_leaves_them_out_of_one_modality():
    one = [r for r in grid(replace(GRID, variants=("iemf",), gamma=2.0, fusion="sum")) if r.modality]
    assert len(one) == 8
    assert all(r.gamma is None and r.fusion is None for r in one)


def test_the_table_has_rows_of_each_modality_and_the_heads_beside_them(compared):
    first, second = (compared.out / "table.md").read_text().split("| modality |")
    rows = helpers.rows_of(first)
    assert [row[:2] for row in rows[:4]] == [[f"{m} alone", n] for m in ("audio", "visual") for n in ("ANN", "SNN")]
    assert [row[2] == "–" for row in rows] == [False] * 4 + [True] * 4
    assert all(row[3] == row[4] == "–" for row in rows[:4])
    assert rows[1][-1].endswith("%")  # spikes of an SNN of one modality
    assert len(helpers.rows_of("| modality |" + second)) == 2 * 2 * 2
    lines = list(csv.DictReader((compared.out / "results.csv").open()))
    one = [line for line in lines if line["variant"] == "alone"]
    assert len(lines) == 24
    assert [line["method"] for line in one] == ["audio", "audio", "visual", "visual"] * 2
    assert all((line["test_accuracy_audio"] == "") == (line["method"] == "visual") for line in one)
    shared = json.loads((compared.out / "results.json").read_text())["settings"]
    assert not {"modality", "start"} & set(shared)


def test_run_again_it_repeats_nothing_and_collects(compared, capsys):
    before = {path: path.stat().st_mtime_ns for path in compared.out.rglob("results.json")}
    compare.main(compared)
    compare.main(replace(compared, collect=True))
    told = capsys.readouterr().out
    assert "24 runs: 24 finished, 0 to go" in told
    assert {path: path.stat().st_mtime_ns for path in before if "runs" in path.parts} == {
        path: at for path, at in before.items() if "runs" in path.parts
    }


def test_programs_that_read_comparisons_leave_runs_of_one_modality_out(compared):
    found, unfinished = find_runs(compared.out)
    assert (len(found), unfinished) == (16, 0)
    assert not any(config.modality for config in found)


def test_firing_rates_and_energy_of_one_modality(compared, call):
    folder = compared.out / "runs" / "snn-visual-alone-seed0"
    code, _, error = call("firing_rates", "--run", folder)
    assert code == 0, error
    found = json.loads((folder / "firing_rates.json").read_text())
    assert {layer["modality"] for layer in found["layers"]} == {"visual"}
    assert found["test_accuracy"] == json.loads((folder / "results.json").read_text())["test_accuracy"]
    assert found["energy_per_sample"]["snn_microjoule"] > 0


def cell(*values, **others):
    """Of two seeds: test accuracies, and other quantities."""
    return {seed: {"test_accuracy": value} | {name: of[seed] for name, of in others.items()}
            for seed, value in enumerate(values)}  # fmt: skip


CELLS = {
    ("ann", "audio", "alone"): cell(60.0, 62.0, val_accuracy=(70.0, 70.0)),
    ("ann", "visual", "alone"): cell(80.0, 84.0, val_accuracy=(69.0, 69.0)),
    ("ann", "concat", "vanilla"): cell(61.0, 65.0, test_accuracy_audio=(50.0, 54.0), test_accuracy_visual=(70.0, 71.0)),
}


def test_the_better_modality_is_chosen_on_validation_and_gains_are_paired_by_seed():
    assert better_alone(CELLS) == {"ann": ("audio", {0: 60.0, 1: 62.0})}
    told = fusion_in_words(CELLS)
    assert "The better modality alone, by validation: audio (ANN)." in told
    assert "vanilla − better alone: +2.00 to +2.00 over the rows." in told  # 1 and 3
    assert "vanilla − better alone: 2 of 2 paired differences are positive" in told
    assert fusion_in_words({cell: of for cell, of in CELLS.items() if cell[2] == "vanilla"}) == ""


def test_heads_stand_beside_networks_of_one_modality():
    assert helpers.rows_of(heads_table(CELLS, report.LABELS)) == [
        ["sound", "ANN", "Concat", "61.00 ± 1.41", "52.00 ± 2.83"],
        ["images", "ANN", "Concat", "82.00 ± 2.83", "70.50 ± 0.71"],
    ]


def test_the_picture_draws_lines_of_each_modality(tmp_path):
    cells = {("ann", "concat", "vanilla"): [90.0, 91.0]}
    plots.accuracies(cells, report.LABELS, tmp_path / "without.png", "t")
    plots.accuracies(cells, report.LABELS, tmp_path / "with.png", "t", {("ann", "audio"): [85.0, 86.0]})
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()

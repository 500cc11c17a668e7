"""The ablation of ξ: which runs there are, that the fixed ξ is the mean of others, and the report."""

import csv
import json
import statistics
from dataclasses import replace

import pytest

from experiments.classification import ablation, ablation_report
from experiments.classification.ablation import AblationConfig, grid
from experiments.classification.ablation_settings import (
    Setting,
    cell_of,
    options_of,
    own_mean,
    published_of,
    reference,
    setting_of,
)
from experiments.classification.report import LABELS
from experiments.sweep.command_line import as_options
from iemf.analysis.ablation_plot import settings_of_xi
from iemf.errors import UserError
from iemf.training import RunFolder
from tests.experiments import helpers

SMALL = AblationConfig(
    epochs=2, width=2, batch_size=120, methods=("concat",), networks=("ann",), seeds=(0, 1), jobs=1, progress=False,
    groups=("gamma", "window", "shuffled", "fixed", "recipe"), gammas=(5.0,),
)  # fmt: skip
SETTINGS = ["vanilla", "joint", "γ = 1", "γ = 5", "ξ in epochs 0–0", "ξ in epochs 1–1", "shuffled ξ",
            "fixed ξ: own mean", "released recipe: vanilla", "released recipe: joint",
            "released recipe: IEMF"]  # fmt: skip


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    config = replace(SMALL, out=tmp_path_factory.mktemp("ablation"))
    ablation.main(config)
    return config


def content(config):
    return json.loads((config.out / "ablation.json").read_text())


def settings(config):
    return list(dict.fromkeys(setting_of(run) for run in grid(config)))


def test_each_group_adds_its_settings():
    base = [Setting("variant", "vanilla"), Setting("variant", "joint"), Setting("gamma", "γ = 1")]

    def added(*groups, **own):
        found = settings(AblationConfig(groups=groups, **own))
        assert set(base) <= set(found)
        return [setting.label for setting in found if setting not in base]

    assert added("gamma") == ["γ = 0.1", "γ = 0.5", "γ = 2", "γ = 3", "γ = 5"]
    assert added("gate") == ["κ = softsign", "κ = erf", "κ = arctan"]
    assert added("window") == ["ξ in epochs 0–5", "ξ in epochs 6–11"]
    assert added("shuffled") == ["shuffled ξ"]
    assert added("fixed") == []  # known only when others are finished
    assert added("recipe") == [f"released recipe: {name}" for name in ("vanilla", "joint", "IEMF")]
    of_adam = ["γ = 5", "ξ on the gradient, γ = 1", "ξ on the gradient, γ = 5"]
    assert added("scale", optimizer="adamw") == of_adam
    assert added("scale") == ["γ = 5", "ξ on the step, γ = 1", "ξ on the step, γ = 5"]


def test_scale_is_a_group_of_adaptive_optimisers_by_default():
    assert {setting.group for setting in settings(AblationConfig())} == {
        "variant", "gamma", "gate", "window", "shuffled", "recipe"}  # fmt: skip
    assert "scale" in {setting.group for setting in settings(AblationConfig(optimizer="adam"))}


def test_no_two_runs_share_a_folder_and_a_cell_has_one_run_a_seed():
    runs = grid(AblationConfig(optimizer="adamw", methods=("ogm-ge", "concat")))
    assert len({run.out for run in runs}) == len(runs) == len({(cell_of(run), run.seed) for run in runs})


def test_the_options_of_a_setting_are_those_by_hand():
    assert options_of(("window",), (5.0,), 7, "gradient") == [{"gamma": 1.0}, {"modulate_to": 2}, {"modulate_from": 3}]
    assert options_of(("shuffled",), (5.0,), 7, "step") == [{"gamma": 1.0}, {"xi": "shuffled"}]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"gamma": 2.0}, "--gamma 2: an ablation varies it"),
        ({"xi": "shuffled"}, "--xi shuffled: an ablation varies it"),
        ({"recipe": "released"}, "--recipe released: an ablation is of --recipe paper"),
        ({"epochs": 1}, "--epochs 1 has no halves"),
        ({"groups": ()}, "--groups : name at least one"),
        ({"gammas": (1.0, 1.0)}, "--gammas 1.0 1.0: name at least one, each once"),
        ({"gammas": (0.0,)}, "--gamma 0 must be a positive finite number"),
    ],
)
def test_what_an_ablation_cannot_do_is_refused(own, message):
    with pytest.raises(UserError) as error:
        grid(AblationConfig(**own))
    assert message in as_options(str(error.value))


def test_a_setting_is_compared_with_its_own_recipe():
    released = ("ann", "concat", "recipe", "released recipe: IEMF")
    assert reference(released, "joint") == (*released[:3], "released recipe: joint")
    assert reference(("snn", "lfm", "gate", "κ = erf"), "vanilla") == ("snn", "lfm", "variant", "vanilla")


def test_what_the_paper_has():
    assert published_of(("ann", "ogm-ge", "gamma", "γ = 5")) == 59.48
    assert published_of(("ann", "ogm-ge", "variant", "joint")) == 60.87
    assert published_of(("snn", "ogm-ge", "gamma", "γ = 1")) == 62.88
    assert published_of(("snn", "ogm-ge", "variant", "joint")) is None
    assert published_of(("ann", "ogm-ge", "fixed", "γ = 1")) is None


def test_the_mean_of_xi_is_over_runs_and_epochs_with_xi(tmp_path):
    runs = grid(replace(SMALL, out=tmp_path))[:2]
    for run, values in zip(runs, ([1.0, 1.1], [None, 1.3001]), strict=True):
        RunFolder(run.out).start({})
        RunFolder(run.out).write_metrics([{"xi": xi} for xi in values])
    assert own_mean(runs) == 1.133  # 3.4001 / 3


def test_the_fixed_xi_is_the_mean_of_the_runs_with_gamma_1(finished):
    of = {row["setting"]: row for row in content(finished)["runs"] if row["seed"] == 0}
    folders = [finished.out / "runs" / f"ann-concat-iemf-seed{seed}" for seed in (0, 1)]
    measured = [record["xi"] for folder in folders for record in RunFolder(folder).metrics()]
    xi = of["fixed ξ: own mean"]["fixed_xi"]
    assert xi == round(statistics.fmean(measured), 3) == pytest.approx(of["fixed ξ: own mean"]["mean_xi"])
    assert f"ANN Concat {xi:g}" in (finished.out / "table.md").read_text()


def test_every_setting_has_a_row_with_numbers_that_are_those_of_the_runs(finished):
    table = helpers.rows_of((finished.out / "table.md").read_text())
    assert [row[1] for row in table] == SETTINGS
    by_setting = {cell["setting"]: cell["test_accuracy"] for cell in content(finished)["cells"]}
    for row in table:
        assert float(row[2].split(" ")[0]) == pytest.approx(by_setting[row[1]]["mean"], abs=0.006)
    joint, gamma = by_setting["joint"]["values"], by_setting["γ = 1"]["values"]
    more = statistics.fmean(gamma) - statistics.fmean(joint)
    assert float(table[2][3].split(" ")[0]) == pytest.approx(more, abs=0.006)
    assert (table[1][3], table[0][3], table[0][5]) == ("–", "–", "–")  # nothing is compared with itself
    assert [row[7] for row in table[:4]] == ["51.58", "54.86", "56.17", "–"]
    rows = list(csv.DictReader((finished.out / "ablation.csv").open(encoding="utf-8")))
    assert len(rows) == 2 * len(SETTINGS)
    assert {row["modulate_to"] for row in rows if row["setting"] == "ξ in epochs 0–0"} == {"0"}
    assert "gamma" not in content(finished)["settings"]


def records(**accuracies):
    """Of ANN and Concat: {setting: accuracies by seed}, as ``runs`` of ablation.json has them."""
    return [
        {"network": "ann", "method": "concat", "group": "variant" if name in ("vanilla", "joint") else "gate",
         "setting": name, "seed": seed, "test_accuracy": accuracy, "gamma": None}
        for name, values in accuracies.items() for seed, accuracy in enumerate(values)
    ]  # fmt: skip


def test_differences_and_corrected_p_by_hand():
    """p of 1, 2, 3 is 1 − √12/√14 = 0.0742; of two tests against joint, a and b, it is the smaller: doubled."""
    rows = records(vanilla=[1.0, 1.0, 1.0], joint=[1.0, 2.0, 3.0], a=[2.0, 4.0, 6.0], b=[1.0, 2.0, 3.0])
    of = {(r["setting"], r["against"]): r for r in ablation_report.comparisons(ablation_report.cells_of(rows))}
    assert of["a", "joint"]["differences"] == [1, 2, 3]
    assert of["a", "joint"]["p"] == pytest.approx(0.0742, abs=1e-4)
    assert of["a", "joint"]["p_holm"] == pytest.approx(0.1484, abs=1e-4)
    assert of["b", "joint"]["p_holm"] == 1
    assert ("joint", "joint") not in of
    assert of["joint", "vanilla"]["differences"] == [0, 1, 2]
    assert "vanilla" not in {setting for setting, _ in of}


def test_run_again_it_repeats_nothing(finished, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.out.rglob("results.json")}
    assert len(before) == 2 * len(SETTINGS)
    ablation.main(replace(finished, collect=True))
    ablation.main(finished)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    told = capsys.readouterr().out
    assert "20 runs: 20 finished, 0 to go" in told
    assert "2 runs: 2 finished, 0 to go" in told


def test_without_all_runs_of_gamma_1_there_is_no_fixed_xi(finished, tmp_path):
    config = replace(finished, seeds=(0, 1, 2))
    assert ablation.fixed(config, grid(config)) == []
    assert {run.xi for run in ablation.fixed(replace(config, dry_run=True), grid(config))} == {1.0}


def test_a_plan_names_every_setting(finished, capsys, tmp_path):
    ablation.main(replace(finished, dry_run=True, out=tmp_path))
    plan = helpers.rows_of(capsys.readouterr().out)
    assert sorted(row[2] for row in plan) == sorted(SETTINGS)
    assert not list(tmp_path.iterdir())


def test_the_picture_is_drawn_from_saved_records_alone(finished, tmp_path):
    rows = content(finished)["runs"]
    settings_of_xi(rows, ablation_report.paper_of(rows), LABELS, tmp_path / "again.png", "title")
    assert (tmp_path / "again.png").stat().st_size > 20_000


def test_the_script_asks_for_both_optimisers(tmp_path):
    calls, done = helpers.asked("ablation.sh", tmp_path, "--networks", "ann", OUT="mine")
    assert done.returncode == 0, done.stderr
    out = str(tmp_path / "mine")
    assert calls == [
        ("ablation", ["--out", out, "--networks", "ann"]),
        ("ablation", ["--optimizer", "adamw", "--groups", "scale", "--out", f"{out}/adamw", "--networks", "ann"]),
    ]

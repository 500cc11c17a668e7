"""The paper's numbers."""

from experiments.sweep import published


def test_the_papers_numbers_stand_beside_ours_where_it_has_the_data_set():
    numbers = published.accuracies("crema-d")
    assert numbers["ann", "ogm-ge", "iemf"] == 71.10
    assert numbers["snn", "lfm", "vanilla"] == 63.58
    assert len(numbers) == 16
    assert len(published.accuracies("urbansound8k-av")) == 16
    kinetics = published.accuracies("kinetics-sounds")  # Fig. 2 has joint learning alone, of ANNs
    assert {cell[0] for cell in kinetics if cell[2] == "joint"} == {"ann"}
    assert len(kinetics) == 16 + 4
    assert published.accuracies("av-digits") == {}


def test_what_the_paper_has_in_words():
    assert published.sentence("av-digits", ("ann", "concat", "iemf")) is None
    assert published.sentence("crema-d", ("ann", "ogm-ge", "iemf")).endswith("Table S2 (ANN): 71.10 % top-1")
    assert published.sentence("crema-d", ("snn", "lfm", "joint")).endswith("Table S3 (SNN) has no joint learning alone")
    assert published.continual_sentence("av-digits-ci", "lwf", "iemf") is None
    assert published.continual_sentence("ave-ci", "av-cil", "iemf").endswith("Table S4: AIA 61.94 %, AFR 20.87 %")
    assert published.continual_sentence("ave-ci", "fine-tuning", "joint").startswith("He et al. 2025, Table S4 has no")
    assert published.avqa_sentence("baseline", "joint").endswith("has no joint learning alone")
    assert published.avqa_sentence("st-avqa", "joint") == "readme of the released code: 70.71 % overall"


def test_the_papers_sweep_of_gamma():
    assert published.gamma_sweep("ann", "ogm-ge") == {0.1: 60.41, 0.5: 60.25, 1: 64.61, 2: 63.34, 3: 62.18, 5: 59.48}
    assert published.gamma_sweep("snn", "ogm-ge") == {1: 62.88}
    assert published.gamma_sweep("ann", "concat") == {1: 56.17}
    assert published.gamma_sweep("ann", "ogm") == {}

"""Every difference between papers and released code is imitated, and shown by a test, or listed with a reason."""

import importlib
import re

import pytest

from experiments.differences import DIFFERENCES, markdown
from tests.conftest import OFFICIAL, ROOT

METHODS = OFFICIAL.parent / "METHODS.md"
KEYS = re.compile(r"[Rr]eleas|Original|Pian et al\.'s|Li's")
OPENS = re.compile(r"^(- )?(Released code|The released scripts|Stage 1 in Li's)")  # the rest of the paragraph is of it

CLOSES = re.compile(r"Ours must|Metrics:|Cost metric|Sharpness|Landscape|Unimodal gain|Its audio|IEMF there:")

# {a phrase of METHODS.md: the difference of the table that it names}
NAMED = {
    "u = 0.5u + 0.5I": "SNN: u = 0.5·u",
    "strict >": "fires strictly above",
    "And its audio-visual model hard-codes ReLU nodes with one step": "network of ReLUs",
    "never runs a spiking network at all": "network of ReLUs",
    "none under the released node": "SNN: u = 0.5·u",
    "g <- ξ·g + N(0, std(g)+1e-8)": "noise N(0",
    "std of the UNSCALED gradient": "of the deviation before it",
    "on the fusion layer": "noise N(0",
    "applies ξ only inside an epoch window (CREMA-D: from epoch 60, elsewhere all epochs)": "ξ from epoch 60",
    "L_a + L_v is on from epoch 0": "L_a + L_v from the first",
    "ignores γ in its main script": "γ is ignored",
    "silently skips all modulation there": "in mixed precision",
    "cross-entropy with label smoothing 0.1": "labels smoothed",
    "for EVERY method and for both heads' losses too": "in every method's loss and in both heads'",
    "the released code uses test accuracy, and without IEMF its heads are untrained": "MSLR's ratios",
    "CE(concat) + L_align with weight 1 on the 512-d features": "LFM: CE of the fusion",
    "Batch 16 there": "LFM: batch 16",
    "lr 2e-3 on CREMA-D": "on CREMA-D lr 2e-3",
    "which is Nesterov with momentum 0.9": "Nesterov",
    "weight decay 5e-4 on weights of two or more dimensions only": "of two or more dimensions alone",
    "x0.1 at epoch 70": "×0.1 at epoch 70",
    "the last incomplete batch dropped": "a last batch that is not full",
    "STFT padded with zeros": "STFT padded",
    "UrbanSound8K test pictures by Resize(256) + CenterCrop(128)": "UrbanSound8K's test pictures",
    "MSLR's ratios from TEST accuracy of heads that are untrained without IEMF": "MSLR's ratios",
    "norm gains of 1 in the SNN": "norm gains",
    "The paper's text says log-Mel spectrograms": "log-STFT",
    "the code computes log|STFT|": "log-STFT",
    "the released code picks on test": "chosen on the test split",
    "takes the first 70 % of each class in directory order": "the first 70 %",
    "has no code for the cost metric": "the cost of Fig. 2 g",
    "never turns VAD on and removes both ReLUs": "no attention distillation, no ReLUs",
    "for AV-CIL ξ scales the classifier's learning rate": "AV-CIL: ξ on the classifier's rate",
    "in epochs 20 to 70 inclusive": "in epochs 20 to 70",
    "head losses and their KD are on only in that window too": "the heads' losses and distillation in epochs",
    "afterwards the classifier's rate STAYS at the last ξ·lr": "the rate stays",
    "Adam 1e-3, λ_I = .1 on AVE as well": "AV-CIL on AVE and K-S",
    "SGD momentum .9 and gradient norm clipped to 10 before ξ": "LwF and SSIL: momentum 0.9",
    "on VS100 ξ scales Adam's lr": "VS100: ξ on Adam's rate",
    "Pian et al.'s script trains SSIL on K-S for 100 epochs": "LwF and SSIL on K-S 100",
    "Adam 1e-3, wd 1e-4, 100-200 epochs": "Pian et al.: Adam 1e-3, weight decay 1e-4",
    "the released plots divide by n": "divide by n",
    "the LSTM reads the pads": "the LSTM reads the padding",
    "leaves out both tanh": "no tanh around the fusion",
    "items are one of the FIRST 10 seconds of a real training video with its own frame": "the first ten seconds",
    "and a uniformly drawn frame of any other video (label 0)": "beside a frame of any other of them",
    "Adam 1e-4, StepLR(8,.1), batch 64, 30 epochs": "stage 1: Adam 1e-4",
    "over videos, not over questions": "the first ten seconds of real videos",
    "per time step a uniform frame of another video of the split": "at every time a frame of any other video",
    "Adam 1e-4, StepLR(8,.1), batch 64; defaults of Li's code: 20 epochs (baseline), 80": "Li et al.: Adam 1e-4",
    "released: momentum .9 and StepLR(15,.1) besides": "momentum 0.9, ×0.1 every 15",
    "breaks when evaluation batches are larger than 1 or shuffled": "joins answers by position",
}
# What sentences about the code say besides: what they are about, the paper's form, numbers, and what ours does.
BESIDES = (
    "The facts to build from", "the papers it builds on", "does differently",
    "Where paper and released code disagree", "the released behaviour is a named option", "so both can be run",
    "`--node-type LIFNode`", "Works in mixed precision", "acc_m is VALIDATION accuracy",
    "so its ratios come from random heads", "Released code of IEMF", "The released scripts",
    "All of it is `recipe=", "the two last-named faults are said", "not imitated", "where the text says so",
    'by "the paper is the default"', "Validation splits are drawn", "they must not move with the training seed",
    "Validation picks the epoch, test is read once", "ours is a seeded stratified 7:3",
    "Its audio images are the CREMA-D log-STFT", "only a `thop` count", "Cost metric (Fig",
    "Ω = FLOPs per epoch", 'so its "AV-CIL" is not AV-CIL', "AV-CIL on AVE and K-S: Adam 1e-3", "as LwF",
    "Error bars: std over seeds 0, 2025, 3917", "Questions are padded BEHIND",
    "**Baseline**: a_t = W2 ReLU(W1 x)", "128-512-512", "v_t = average-pooled map",
    "per modality 4-head attention", "then LayerNorm(x + FF(x))", "logits = fc_ans",
    "fc_fusion 1024-512 (Li et al. 2022, read from their code", "default for `paper` and `original`)",
    "Stage 1 in Li's and in the released code (the same)", "interleaved, CE", "30 epochs: over videos",
    "Original optimiser: Adam 1e-4", "The IEMF paper: SGD lr 1e-2", "weight decay 1e-4, 50 epochs",
    "loss + CE_a + CE_v", "Originals", "80 (ST-AVQA)", "join by question id", "not by position", "Fig. 2 c2",
    "so IEMF - joint there is +1.31, +.35, +3.74, +2.05", "+2.05 (Concat", "`paper/figure_2_ablation.csv`)",
    "and the released AVQA readme has ST-AVQA 70.26, joint 70.71, IEMF 71.36",
)  # fmt: skip


def test_every_entry_says_how_or_why():
    assert len({(each.task, each.what) for each in DIFFERENCES}) == len(DIFFERENCES)
    for each in DIFFERENCES:
        assert bool(each.by) != bool(each.instead), each
        assert each.tests or not each.by, each


@pytest.mark.parametrize("name", sorted({name for each in DIFFERENCES for name in each.tests}))
def test_every_test_that_is_named_is_there_and_runs(name):
    path, _, function = name.partition("::")
    assert (ROOT / path).is_file()
    found = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), function)
    assert callable(found)
    assert function.startswith("test_")
    marks = {mark.name for mark in getattr(found, "pytestmark", ())}
    assert not marks & {"skip", "skipif", "xfail", "gpu"}


def test_the_page_has_this_table():
    """To mend it: python -m experiments.differences."""
    assert markdown() in (ROOT / "docs" / "method.md").read_text(encoding="utf-8")


def test_every_difference_is_named_by_methods_or_found_by_reading_the_code():
    for words in NAMED.values():
        assert [each for each in DIFFERENCES if words in each.what], words


def plain(text: str) -> str:
    return " ".join(text.split())


def blocks(text: str) -> list[str]:
    """Paragraphs and list items on a line each."""
    found = [""]
    for line in text.splitlines():
        starts = not line.strip() or re.match(r"- |#|\||\*\*", line)
        found.append(line.strip()) if starts else found.append(f"{found.pop()} {line.strip()}")
    return [plain(block) for block in found if block]


def about_code(text: str) -> list[str]:
    """Sentences about what a code does."""
    found = []
    for block in blocks(text):
        opened = False
        for sentence in re.split(r"(?<=\.)(?<!al\.)(?<!Fig\.) ", block):
            opened = (opened or bool(OPENS.match(sentence))) and not CLOSES.match(sentence)
            if opened or KEYS.search(sentence):
                found.append(sentence)
    return found


def clauses(sentence: str) -> list[str]:
    """Parts between semicolons, and between commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(sentence):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(letter, 0)
        if (letter == ";" or (letter == "," and depth == 0)) and sentence[place + 1 : place + 2] == " ":
            parts.append(sentence[start:place].strip())
            start = place + 1
    return [part for part in [*parts, sentence[start:].strip()] if part]


def unnamed(text: str) -> list[str]:
    """Clauses about what a code does that no phrase is part of, and that are part of none."""
    known = [plain(phrase) for phrase in (*NAMED, *BESIDES)]
    return [clause for sentence in about_code(text) for clause in clauses(sentence)
            if not any(phrase in clause or clause.rstrip(".") in phrase for phrase in known)]  # fmt: skip


def test_a_difference_that_is_neither_imitated_nor_listed_is_found():
    assert unnamed("- Released code: u = 0.5u + 0.5I, strict >, and a refractory time of two steps.") == [
        "and a refractory time of two steps."]  # fmt: skip
    assert unnamed("The released code takes the square root of it.") == [
        "The released code takes the square root of it."
    ]


@pytest.mark.skipif(not METHODS.exists(), reason=f"{METHODS.name} is not here")
def test_methods_names_none_that_is_neither_imitated_nor_listed():
    text = METHODS.read_text(encoding="utf-8")
    assert [phrase for phrase in NAMED if phrase not in plain(text)] == []
    assert unnamed(text) == []
    said = [clause for sentence in about_code(text) for clause in clauses(sentence)]
    stale = [phrase for phrase in BESIDES if not any(phrase in each or each.rstrip(".") in phrase for each in said)]
    assert stale == []

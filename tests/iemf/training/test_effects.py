"""ξ of batches that are evaluated: by hand, in every task, over processes, and without a pass of its own."""

import pytest
import torch

from iemf.avqa.baseline import Baseline
from iemf.avqa.data import AVQASplit
from iemf.avqa.stages import AnswerStage, predict
from iemf.coefficient import inverse_effectiveness, modality_strength
from iemf.continual.methods import SSIL
from iemf.factory import make_modulation
from iemf.logits import Logits
from iemf.modulation import InverseEffectiveness
from iemf.training.effects import BatchScores, Effects, effects_of, effects_of_samples, sample_scores
from tests.iemf.small import avqa_network, classification_trainer, learner, processes, questions

IEMF = InverseEffectiveness([torch.nn.Parameter(torch.zeros(1))], gamma=0.5)
VAL = {"xi_val", "s_unimodal_val", "s_fused_val"}


def probability(*of_first):
    """Logits of two classes."""
    return torch.tensor([[p, 1 - p] for p in of_first]).log()


LOGITS = Logits({"audio": probability(0.2, 0.4, 0.9), "visual": probability(0.4, 0.6, 0.9)}, probability(0.6, 0.5, 0.9))


def test_two_batches_by_hand():
    """S_uni .3 and .5 in the first: .4 to S_av .55; the third sample does not count, nor does its batch."""
    scores = sample_scores(LOGITS, torch.tensor([0, 0, -100]))
    torch.testing.assert_close(scores, torch.tensor([[0.3, 0.6, 1], [0.5, 0.5, 1], [0, 0, 0]]).double())
    found = effects_of_samples(scores, 2, IEMF)
    xi = inverse_effectiveness(0.4, 0.55, 0.5).item()
    assert found == Effects([pytest.approx(xi)], [pytest.approx(0.4)], [pytest.approx(0.55)])
    assert found.means("val") == {"xi_val": pytest.approx(xi), "s_unimodal_val": pytest.approx(0.4),
                                  "s_fused_val": pytest.approx(0.55)}  # fmt: skip
    assert effects_of(scores, None) == Effects([], [], [])
    assert Effects([], [], []).means("test") == {}


def test_batches_of_all_processes_come_in_the_order_of_the_split(monkeypatch):
    """Five batches, shared in turn by two processes."""
    parts = [probability(p) for p in (0.1, 0.2, 0.3, 0.4, 0.5)]
    gathered = []
    for rank in range(2):
        collected = BatchScores(processes(2, rank))
        for part in parts[rank::2]:
            collected.add(Logits({"audio": part}, part), torch.tensor([0]))
        monkeypatch.setattr("iemf.training.effects.gather_object", lambda mine: gathered.extend(mine) or gathered)
        found = collected.effects(IEMF)
    assert found.fused == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def passes(module):
    """How often it is called."""
    count = []
    module.register_forward_hook(lambda *_: count.append(1))
    return count


def test_classification(tmp_path, accelerator):
    """12 validation samples in batches of 16, 15 of test; the ξ of whole splits, and as many passes as without."""
    run = classification_trainer(tmp_path, accelerator, iemf=True, epochs=1)
    seen = passes(run.stage.module)
    _, record = run.stage.validate(0)
    (_, effects), stage = run.stage.test(), run.stage
    assert len(seen) == 2
    for split, found in ((stage.data.val, record["xi_val"]), (stage.data.test, effects.xi[0])):
        batch = split.__getitems__(list(range(len(split))))
        with torch.no_grad():
            logits = stage.module(batch[0], batch[1]).logits
        alone = torch.stack([modality_strength(each, batch[2]) for each in logits.unimodal.values()]).mean()
        xi = inverse_effectiveness(alone, modality_strength(logits.fused, batch[2])).item()
        assert found == pytest.approx(xi, rel=1e-5)
    assert set(record) >= VAL
    (history,) = run.fit()
    assert set(history) >= VAL | {"xi"}
    plain = classification_trainer(tmp_path / "plain", accelerator, epochs=1)
    seen = passes(plain.stage.module)
    assert not VAL & set(plain.stage.validate(0)[1])
    plain.stage.test()
    assert len(seen) == 2


def test_class_incremental_learning_counts_the_tasks_own_samples_and_classes(tmp_path, accelerator):
    run = learner(tmp_path, accelerator, SSIL(), lambda n, o, _: make_modulation(n.classifier.parameters(), o),
                  epochs=1, batch_size=8)  # fmt: skip
    run.fit()
    assert all(set(record) >= VAL for record in run.history)
    assert [len(each.xi) for each in run.effects] == [1, 1, 1]  # 8 test samples a task
    rows = run.data.test.rows_of(run.data.tasks[2])
    batch = run.data.test.__getitems__(rows)
    with torch.no_grad():
        logits = run.network.eval()(batch.audio.float(), batch.visual.float()).logits
    own = Logits({name: each[:, 4:] for name, each in logits.unimodal.items()}, logits.fused[:, 4:])
    expected = effects_of_samples(sample_scores(own, batch.label - 4), 8, IEMF)
    assert run.effects[2].unimodal == pytest.approx(expected.unimodal, rel=1e-5)
    assert run.effects[2].fused == pytest.approx(expected.fused, rel=1e-5)


def test_resumed_class_incremental_learning_keeps_what_was_tested(tmp_path, accelerator):
    options = {"epochs": 1, "modulation": lambda n, o, _: make_modulation(n.classifier.parameters(), o)}
    whole = learner(tmp_path, accelerator, SSIL(), **options)
    whole.fit()
    again = learner(tmp_path, accelerator, SSIL(), **options)
    again.fit(resume=True)
    assert again.effects == whole.effects


def test_question_answering_leaves_out_answers_that_train_never_had(accelerator):
    data = questions()
    asked = [question._replace(answer="never") if number < 4 else question
             for number, question in enumerate(data.test.questions)]  # fmt: skip
    split = AVQASplit(asked, data.vocabulary, data.test.features, data.test.video_of)
    stage = AnswerStage(avqa_network(Baseline), split, split, 4, 0, accelerator)
    stage.modulation = IEMF
    _, record = stage.validate(0)
    scores = BatchScores(accelerator)
    predict(stage.module, split, 4, accelerator, scores=scores)
    found = scores.effects(IEMF)
    assert len(found.xi) == 5  # of six: none in the first counts
    assert all(0 < xi < 0.5 * 1.7616 for xi in found.xi)
    assert record["xi_val"] == pytest.approx(sum(found.xi) / 5)
    assert record.keys() >= VAL

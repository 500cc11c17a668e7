"""PMR against numbers worked out by hand."""

import math

import pytest
import torch

from iemf.balance.pmr import PMR, entropy, lags, log_similarities
from iemf.logits import Logits
from iemf.network import Output
from tests.iemf.balance.steps import Rows, method_of, step_of
from tests.iemf.balance.test_methods import output_of


def test_similarities_by_hand():
    """z = 0 among prototypes 0, 1 and one that nobody knows: e^0 and e^-1."""
    log_p = log_similarities(torch.tensor([[0.0]]), torch.tensor([[0.0], [1.0], [0.1]]),
                             torch.tensor([True, True, False]))  # fmt: skip
    e = math.exp(-1)
    assert log_p.exp()[0].tolist() == pytest.approx([1 / (1 + e), e / (1 + e), 0.0])


def test_the_one_that_lags_is_weighted_by_how_far():
    """ρ = 3/2: visual lags by 1/2; ρ = 1/4: audio by 3, of which 1 counts; alike, or nothing known: nobody."""
    for scores, expected in (((3.0, 2.0), [0, 0.5]), ((1.0, 4.0), [1, 0]), ((2.0, 2.0), [0, 0]), ((0.0, 0.0), [0, 0])):
        assert [w.item() for w in lags(*torch.tensor(scores))] == pytest.approx(expected)


def test_entropy_by_hand():
    log_p = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]).log()
    assert entropy(log_p).tolist() == pytest.approx([math.log(2), 0.0])


def features(audio, visual):
    return {"audio": torch.tensor(audio), "visual": torch.tensor(visual)}


class Given:
    """Training rows whose features and labels are given."""

    def __init__(self, features, labels, classes):
        self.features, self.labels, self.classes = features, torch.tensor(labels), classes
        self.trained, self.held = list(range(len(labels))), []

    def outputs(self, rows, epoch):
        fused = torch.zeros(len(rows), self.classes)
        yield Output(Logits({}, fused), {m: z[rows] for m, z in self.features.items()}), self.labels[rows]


def test_prototypes_are_moving_means_by_class(make_network):
    """Class 0: (1 + 3)/2, class 1: 5, class 2: nobody; then 0.2·2 + 0.8·7 in class 0, class 2 for the first time."""
    method = PMR(make_network())
    method.on_epoch(0, Given(features([[1.0], [3.0], [5.0]], [[0.0], [0.0], [2.0]]), [0, 0, 1], 3))
    assert method.prototypes["audio"].tolist() == [[2.0], [5.0], [0.0]]
    assert method.prototypes["visual"].tolist() == [[0.0], [2.0], [0.0]]
    assert method.known.tolist() == [True, True, False]
    method.on_epoch(1, Given(features([[7.0], [4.0]], [[1.0], [1.0]]), [0, 2], 3))
    assert method.prototypes["audio"].flatten().tolist() == pytest.approx([0.2 * 2 + 0.8 * 7, 5.0, 4.0])
    assert method.known.all()
    again = PMR(make_network())
    again.load_state_dict(method.state_dict())
    for modality, each in method.prototypes.items():
        assert torch.equal(again.prototypes[modality], each)
    assert again.known.all()


def test_a_tenth_is_read_anew_each_epoch_and_no_more(make_network):
    read = []
    rows = Given(features([[1.0]] * 1000, [[1.0]] * 1000), [0, 1] * 500, 2)
    original = rows.outputs
    rows.outputs = lambda wanted, epoch: read.append((wanted, epoch)) or original(wanted, epoch)
    for seed in (0, 0, 1):
        method = PMR(make_network(), seed=seed)
        for epoch in (0, 1):
            method.on_epoch(epoch, rows)
    assert all(len(set(wanted)) == 100 for wanted, _ in read)
    assert [epoch for _, epoch in read] == [0, 1] * 3
    first, second, again, _, other, _ = (wanted for wanted, _ in read)
    assert first == again
    assert first not in (second, other)
    small = Given(features([[1.0]] * 40, [[1.0]] * 40), [0, 1] * 20, 2)
    small.outputs = rows.outputs
    PMR(make_network()).on_epoch(0, small)
    assert len(read[-1][0]) == 32


@pytest.mark.parametrize(("epoch", "early"), [(0, True), (11, False)])
def test_loss_by_hand(make_network, epoch, early):
    """Prototypes 0 and 1 of audio, 0 and 3 of visual; audio sits on its own, visual on the other's: p_a = 1/(1 + e^-1),
    p_v = e^-3/(1 + e^-3). Visual lags by more than 1, of which 1 counts: L + PCE_v - 0.1·H_a."""
    method = PMR(make_network())
    method.known = torch.tensor([True, True])
    method.prototypes = {"audio": torch.tensor([[0.0], [1.0]]), "visual": torch.tensor([[0.0], [3.0]])}
    labels = torch.tensor([0, 1])
    z = (torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [0.0]]))
    p, p_visual = 1 / (1 + math.exp(-1)), math.exp(-3) / (1 + math.exp(-3))
    expected = 0.7 - math.log(p_visual) - early * 0.1 * -(p * math.log(p) + (1 - p) * math.log(1 - p))
    loss = method.loss(torch.tensor(0.7), output_of(torch.zeros(2, 2), features=z), labels, epoch)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_classes_without_a_prototype_do_not_count(make_network):
    method = PMR(make_network())
    own = torch.tensor(0.7)
    output = output_of(torch.zeros(1, 3), features=(torch.ones(1, 1), torch.ones(1, 1)))
    assert method.loss(own, output, torch.tensor([0]), 0) is own  # nothing is known before the first epoch
    method.known = torch.tensor([True, True, False])
    method.prototypes = {m: torch.tensor([[0.0], [1.0], [9.0]]) for m in ("audio", "visual")}
    assert method.loss(own, output, torch.tensor([2]), 11).item() == pytest.approx(0.7)


def test_the_scores_are_of_the_global_batch(make_network, batch, monkeypatch):
    """Sums over samples are handed to the reduction; what another process adds turns the ratio round."""
    network = make_network()
    method = PMR(network)
    method.on_epoch(0, Rows(network, batch[:2], batch[2]))
    output, own = network(*batch[:2]), torch.tensor(0.0)
    alone = method.loss(own, output, batch[2], 99)
    seen = []
    monkeypatch.setattr("iemf.balance.pmr.sum_over_processes", lambda x: seen.append(x) or x.flip(0))
    other = method.loss(own, output, batch[2], 99)
    expected = [log_similarities(z, method.prototypes[m], method.known).exp().gather(1, batch[2][:, None]).sum()
                for m, z in output.features.items()]  # fmt: skip
    torch.testing.assert_close(seen[0], torch.stack(expected).detach())
    assert not torch.isclose(alone, other)


def test_only_encoders_are_pulled(make_network, batch):
    """Heads and fusion have the gradient that they have without it, one encoder has another."""
    network = make_network()
    plain, _ = step_of(method_of("concat", network)[0], network, batch[:2], batch[2])
    method, _ = method_of("pmr", network)
    method.on_epoch(0, Rows(network, batch[:2], batch[2]))
    method.use_epochs(1, 100)
    method.stretch = 100.0
    pulled, _ = step_of(method, network, batch[:2], batch[2])
    changed = {name.split(".")[0] for name, g in plain.items() if not torch.allclose(g, pulled[name])}
    assert changed <= {"audio_encoder", "visual_encoder"}
    assert changed

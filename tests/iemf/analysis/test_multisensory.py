"""Multisensory gain by hand."""

import pytest

from iemf.analysis.multisensory import Gain, gain, gains_of, inverse_effectiveness
from iemf.analysis.multisensory_plot import gain_over_strength


def test_gain_by_hand():
    assert gain(66, [40, 55]) == Gain(47.5, 11, 20)
    assert gain(50, [80, 10]) == Gain(45, -30, -37.5)
    for nothing in ([], [0.0, 0.0]):
        with pytest.raises(ValueError, match="above 0"):
            gain(50, nothing)


def test_inverse_effectiveness_is_the_sign_of_the_relation():
    weaker_more = [gain(f, [b]) for f, b in ((30, 20), (55, 50), (82, 80))]
    assert inverse_effectiveness(weaker_more) == pytest.approx(-1)
    assert inverse_effectiveness([gain(f, [b]) for f, b in ((21, 20), (60, 50), (112, 80))]) == pytest.approx(1)
    assert inverse_effectiveness(weaker_more[:2]) is None
    assert inverse_effectiveness([Gain(50, 5, 10)] * 4) is None


def records():
    return [
        {"network": n, "method": "concat", "variant": v, "seed": s, "modality": m, "test_accuracy": 60.0 + i,
         "test_accuracy_audio": 30.0, "test_accuracy_visual": 40.0 + 3 * i}
        for n in ("ann", "snn") for v in ("vanilla", "iemf") for s in (0, 1) for m in ("audio", "visual")
        for i in range(3)
    ]  # fmt: skip


def test_gains_are_kept_apart_by_cell_and_seed():
    found = gains_of(records())
    assert len(found) == 8
    assert [g.absolute for g in found["concat", "snn", "visual", "iemf"][1]] == [20, 18, 16]


def test_the_picture_is_drawn(tmp_path):
    gain_over_strength(records(), {"concat": "Concat"}, tmp_path / "gain.png", "title")
    assert (tmp_path / "gain.png").stat().st_size > 10_000

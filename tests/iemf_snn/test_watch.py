"""Silent and saturated layers are warned of, once; the epoch's record has the rate."""

import pytest
import torch
from torch import nn

from iemf_snn.neuron import LIFNode
from iemf_snn.watch import SpikeWatch


@pytest.mark.parametrize(
    ("drive", "rate", "said"),
    # input 1 a step is above the threshold of 0.5 at every step; 0.4 fires at every second (Eq. 3)
    [(0.0, 0.0, "silent"), (0.4, 0.5, None), (1.0, 1.0, "saturated")],
)
def test_what_hands_nothing_on_is_warned_of_once(drive, rate, said):
    lines = []
    network = nn.Sequential(LIFNode(stateless=True, backend="torch"))
    watch = SpikeWatch({"audio": network}, lines.append)
    for _ in range(2):
        with watch() as seen:
            network(torch.full((4, 3, 5), drive))
        assert seen() == {"firing_rate": pytest.approx(rate)}
    assert len(lines) == (said is not None)
    assert all(said in line and "audio 0" in line for line in lines)

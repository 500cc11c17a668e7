"""An activation for vectors: LIF neurons that see the same input at T steps; what goes on is their firing rate."""

from torch import Tensor, nn

from iemf_snn.neuron import LIFNode


class RateCoded(nn.Module):
    """[B, F] -> firing rates [B, F] in 0..1, multiples of 1/T; every pass starts from neurons at rest.

    Args:
        time_steps: T.
        neuron_options: of :class:`iemf_snn.LIFNode`.
    """

    def __init__(self, time_steps: int = 4, **neuron_options) -> None:
        super().__init__()
        if time_steps < 1:
            raise ValueError(f"time_steps must be >= 1, got {time_steps}")
        self.time_steps, self.neuron = time_steps, LIFNode(stateless=True, **neuron_options)

    def forward(self, x: Tensor) -> Tensor:
        return self.neuron(x.expand(self.time_steps, *x.shape)).mean(0)

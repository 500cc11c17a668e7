"""PLIF: the neuron of Eq. 2-3 with a membrane time constant that each layer learns (Fang et al. 2021)."""

from spikingjelly.activation_based import neuron, surrogate


def parametric_lif(
    tau: float = 2.0, v_threshold: float = 0.5, v_reset: float = 0.0, decay_input: bool = False, alpha: float = 2.0
) -> neuron.ParametricLIFNode:
    """SpikingJelly's multi-step node with the constants of Eq. 3; 1/τ_m = sigmoid(w), with one w a layer.

    Args:
        tau: τ_m > 1 at the beginning.
        v_threshold, v_reset, decay_input, alpha: as of :class:`iemf_snn.LIFNode`.

    >>> node = parametric_lif()
    >>> [round(w.sigmoid().item(), 3) for w in node.parameters()]
    [0.5]
    """
    return neuron.ParametricLIFNode(
        init_tau=float(tau),
        decay_input=decay_input,
        v_threshold=float(v_threshold),
        v_reset=float(v_reset),
        surrogate_function=surrogate.PiecewiseQuadratic(alpha=float(alpha)),
        detach_reset=True,
        step_mode="m",
    )

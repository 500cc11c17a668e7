"""The inverse-effectiveness coefficient ξ (He et al. 2025, Eq. 7-10) as pure functions.

    c_i   = softmax(logits_i)[y_i]            probability of the true class, per modality and fused (Eq. 7-8)
    S_uni = mean_i mean_m c_i^m               strength of the unimodal evidence                    (Eq. 9)
    S_av  = mean_i c_i^av                     strength of the fused evidence                       (Eq. 9)
    ξ     = γ · (1 + κ(1 - S_uni / S_av))     weak unimodal evidence -> fusion learns faster       (Eq. 10)

Nothing here carries a gradient or waits for the device.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from iemf.divergence import at_least_float32

Gate = Callable[[Tensor], Tensor]
IGNORED = -100  # label of a sample that does not count


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|): bounded and odd as tanh is, with longer tails."""
    return x / (1 + x.abs())


def arctangent(x: Tensor) -> Tensor:
    """(2/π)·atan(x): bounded by ±1 and odd."""
    return torch.atan(x) * (2 / torch.pi)


GATES: dict[str, Gate] = {"tanh": torch.tanh, "softsign": softsign, "erf": torch.erf, "arctan": arctangent}


def true_class_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Softmax probability of each sample's true class (Eq. 7-8), without gradient.

    Args:
        logits: [..., B, C], any floating dtype; computed in at least float32.
        labels: [B], integers, 0..C-1; IGNORED, the default ``ignore_index`` of cross-entropy, gives 0.

    Returns:
        [..., B], in [0, 1].

    Raises:
        ValueError: shapes do not fit, logits are no real floating-point numbers, labels no integers, the batch or C is
            0, or a label lies outside 0..C-1 (checked on the CPU, where it costs nothing).
    """
    if logits.ndim < 2 or labels.ndim != 1 or logits.shape[-2] != labels.shape[0]:
        raise ValueError(f"need logits [..., B, C] and labels [B], got {list(logits.shape)} and {list(labels.shape)}")
    if labels.numel() == 0:
        raise ValueError("an empty batch has no modality strength")
    if not logits.is_floating_point() or logits.shape[-1] == 0:
        raise ValueError(f"logits must be floating-point numbers of one class or more, got {logits.dtype}, "
                         f"{list(logits.shape)}")  # fmt: skip
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be integers, got {labels.dtype}")
    labels, classes = labels.long(), logits.shape[-1]
    kept = labels != IGNORED
    index = labels.where(kept, 0)
    if labels.device.type == "cpu":
        lowest, highest = map(int, index.aminmax())
        if lowest < 0 or highest >= classes:
            raise ValueError(f"labels must lie in 0..{classes - 1}, got {int(labels.min())}..{int(labels.max())}")
    probabilities = (
        at_least_float32(logits.detach()).softmax(dim=-1).gather(-1, index[:, None].expand(*logits.shape[:-1], 1))
    )
    return probabilities.squeeze(-1).where(kept, 0)


def modality_strength(logits: Tensor, labels: Tensor) -> Tensor:
    """S of logits [B, C]: the mean of the true class's probability (Eq. 7-9) over the batch, samples with the
    label IGNORED aside; a 0-dim tensor.

    Shapes and errors as in :func:`true_class_probability`.
    """
    return true_class_probability(logits, labels).sum(-1) / (labels != IGNORED).sum().clamp(min=1)


def inverse_effectiveness(
    unimodal: Tensor | float, fused: Tensor | float, gamma: float = 1.0, gate: Gate = torch.tanh
) -> Tensor:
    """ξ = γ·(1 + κ(1 - S_uni/S_av)) (Eq. 10); no device synchronisation.

    Where S_av = 0 the ratio is undefined and ξ takes its limits: γ·(1 + κ(-∞)) (0 for tanh) when S_uni > 0, and γ
    when both are 0 (neither side has evidence, so neither is favoured).

    Args:
        unimodal: S_uni in [0, 1], mean over the modalities; any shape, typically 0-dim.
        fused: S_av in [0, 1], same shape.
        gamma: γ > 0, the scale of the fusion's learning rate.
        gate: κ, a bounded odd function; maps 0 to 0.

    Returns:
        ξ, of the inputs' shape. For κ = tanh it lies in [0, 1.7616·γ], since S_uni/S_av >= 0.

    Raises:
        ValueError: gamma is not a positive finite number.
    """
    check_gamma(gamma)
    unimodal, fused = torch.as_tensor(unimodal), torch.as_tensor(fused)
    ratio = torch.where(unimodal + fused == 0, 1.0, unimodal / fused)
    # The largest float instead of inf: a gate such as x / (1 + |x|) is inf/inf there, and at its limit here.
    ratio = ratio.clamp(max=torch.finfo(ratio.dtype).max)
    return gamma * (1 + gate(1 - ratio))


def check_gamma(gamma: float) -> None:
    """Raise ValueError unless γ is a positive finite number."""
    if not (0 < gamma < float("inf")):
        raise ValueError(f"gamma must be a positive finite number, got {gamma}")

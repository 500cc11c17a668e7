"""AV-CIL (Pian et al. 2023): SS-IL, contrast of sound and picture, and distilled attention.

L = L_SSIL + lambda_I L_I + lambda_C L_C + lambda VAD_spatial + (1 - lambda) VAD_temporal.
"""

import torch.nn.functional as F
from torch import Tensor

from iemf.continual.losses import attention_distillation, class_contrast, instance_contrast
from iemf.continual.methods.base import ContinualStep, register
from iemf.continual.methods.ssil import SSIL
from iemf.continual.model import ContinualOutput
from iemf.processes import rows_of_processes

SHORTEST = 1e-2  # of a feature vector's length; one spike in four steps is 0.25
BALANCE = 0.5  # lambda, between the attention over places and that over times


@register("av-cil", "AV-CIL")
class AVCIL(SSIL):
    """SS-IL with both contrasts over new samples and exemplars together, of all processes, and VAD on the exemplars.

    Args:
        instance: lambda_I; 0.5 for AVE-CI, 0.1 for K-S-CI and VS100-CI.
        category: lambda_C.
        attention: VAD; the code released with He et al. 2025 leaves it out.
    """

    def __init__(self, instance: float = 0.5, category: float = 1.0, attention: bool = True) -> None:
        self.instance, self.category, self.attention = instance, category, attention

    def further_loss(self, output: ContinualOutput, old: ContinualOutput, step: ContinualStep) -> Tensor:
        # Spiking features may be silent: the length is bounded below, or their gradient would be without bound.
        audio, visual = (F.normalize(f, eps=SHORTEST) for f in output.features.values())
        audio, visual, labels = map(rows_of_processes, (audio, visual, step.labels))
        total = self.instance * instance_contrast(audio, visual)
        total = total + self.category * class_contrast(audio, visual, labels)
        if not self.attention or step.current == len(step.labels):
            return total
        spatial, temporal = (
            attention_distillation(new[step.current :], before[step.current :])
            for new, before in ((output.spatial, old.spatial), (output.temporal, old.temporal))
        )
        return total + BALANCE * spatial + (1 - BALANCE) * temporal

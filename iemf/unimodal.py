"""A network of one modality: an encoder and its head, what fusion and balancing are measured against."""

from torch import Tensor, nn

from iemf.logits import Logits
from iemf.network import Output, encode


class UnimodalNetwork(nn.Module):
    """Encode one modality and classify it; the others are not looked at.

    Args:
        modality: its name, among those that ``forward`` is given.
        encoder: [B, C_m, H, W] -> [B, F].
        head: [B, F] -> [B, C].
        modalities: the names of all that ``forward`` is given, in order.

    >>> import torch
    >>> network = UnimodalNetwork("visual", nn.Flatten(), nn.Linear(4, 3))
    >>> output = network(torch.zeros(2, 1, 9, 9), torch.zeros(2, 1, 2, 2))
    >>> output.logits.fused.shape, output.logits.fused is output.logits.unimodal["visual"]
    (torch.Size([2, 3]), True)
    """

    def __init__(
        self, modality: str, encoder: nn.Module, head: nn.Module, modalities: tuple[str, ...] = ("audio", "visual")
    ) -> None:
        super().__init__()
        self.modality, self.encoder, self.head = modality, encoder, head
        self.place = modalities.index(modality)

    def forward(self, *inputs: Tensor) -> Output:
        """As :meth:`iemf.network.MultimodalNetwork.forward`. What the network answers stands as the fused logits too,
        which is where whoever reads an answer looks."""
        z = encode(self.encoder, inputs[self.place])
        logits = self.head(z)
        return Output(Logits({self.modality: logits}, logits), {self.modality: z})

    @property
    def encoders(self) -> dict[str, nn.Module]:
        """By modality: the one."""
        return {self.modality: self.encoder}

    @property
    def heads(self) -> dict[str, nn.Module]:
        """By modality: the one."""
        return {self.modality: self.head}

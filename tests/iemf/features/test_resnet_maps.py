"""Maps of ResNet-18."""

import pytest
import torch
from torchvision.models import resnet18

from iemf.errors import UserError
from iemf.features.resnet_maps import ResNetMaps


def test_maps_of_a_frame_are_what_the_network_pools(tmp_path):
    torch.manual_seed(0)
    network = resnet18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "r.pth")
    frames = torch.randint(0, 256, (2, 3, 448, 448), dtype=torch.uint8)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        maps = ResNetMaps(tmp_path / "r.pth")(frames)
        logits = network((frames / 255 - mean) / deviation)
        assert maps.shape == (2, 512, 14, 14)
        torch.testing.assert_close(network.fc(maps.mean((2, 3))), logits)


def test_other_weights_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "r.pth")
    with pytest.raises(UserError, match=r"r\.pth is no ResNet-18"):
        ResNetMaps(tmp_path / "r.pth")

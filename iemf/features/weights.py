"""Weights from local files, without unpickling code."""

from pathlib import Path
from zipfile import is_zipfile

import torch
from torch import Tensor

from iemf.errors import UserError
from iemf.tensors import load_tensors


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """{name: tensor} of a .safetensors file or a torch checkpoint; of {"model": ...} or {"state_dict": ...} the inside.

    Raises:
        UserError: the file is missing, unreadable, or holds something else.
    """
    if not path.is_file():
        raise UserError(f"{path} is no file; name the weights' file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            content = load_tensors(path) if is_zipfile(path) else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # damaged bytes make a reader fail in any way whatever
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} holds no readable weights ({reason}); get the file anew") from None
    for wrapper in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path} holds no weights by name; get the file anew")
    return content

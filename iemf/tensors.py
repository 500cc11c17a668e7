"""Files of tensors that ``torch.save`` wrote, read as something a stranger may have made.

``torch.load(weights_only=True)`` runs no code of the file's. Beyond that, here: a changed bit is noticed (each part's
checksum, which torch writes and does not read), nothing is unpacked to more than the file's own size, and the pickle
may name what holds tensors, no other type that makes memory out of nothing, as ``bytearray(10**10)`` does.
"""

import pickletools
import zipfile
from pathlib import Path

import torch

ADMITTED = {
    "collections OrderedDict",
    "torch Size",
    "torch device",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
}
STORAGES = {f"torch {kind}Storage" for kind in ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int",
                                                "Long", "Short")}  # fmt: skip
NAMES = ("GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4")  # opcodes that call for something by name


def load_tensors(path: Path) -> object:
    """What ``torch.save`` wrote, on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, packed, or calls for anything but tensors, numbers, text and their containers.
        Exception: of other damage, whatever torch's own reader raises.
    """
    with zipfile.ZipFile(path) as file:
        if sum(part.file_size for part in file.infolist()) > path.stat().st_size:
            raise ValueError("it is packed, which torch.save never does")
        if (damaged := file.testzip()) is not None:
            raise ValueError(f"the checksum of its part {damaged!r} is wrong")
        for part in file.namelist():
            if part.endswith(".pkl"):
                _check_names(file.read(part))
    return torch.load(path, map_location="cpu", weights_only=True)


def _check_names(pickled: bytes) -> None:
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name in NAMES and argument not in ADMITTED | STORAGES:
            dtype = str(argument).removeprefix("torch ")
            if not isinstance(getattr(torch, dtype, None), torch.dtype):
                raise ValueError(f"it calls for {str(argument).replace(' ', '.')}")

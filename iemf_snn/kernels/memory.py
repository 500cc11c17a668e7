"""How tensors lie in memory: the kernels see flat blocks, whatever the format."""

import torch
from torch import Tensor


def is_dense(x: Tensor) -> bool:
    """Whether the elements of x fill one block of memory, in any order of its dimensions."""
    expected = 1
    for stride, size in sorted((x.stride(i), x.shape[i]) for i in range(x.dim()) if x.shape[i] != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def dense_over_time(x: Tensor) -> Tensor:
    """x [T, ...] if its steps lie one after the other, each of them dense; else a contiguous copy."""
    if x.numel() == 0 or (is_dense(x) and (x.shape[0] == 1 or x.stride(0) == x.numel() // x.shape[0])):
        return x
    return x.contiguous()


def image_format(x: Tensor) -> Tensor:
    """x [N, C, H, W] if it is contiguous or channels_last; else a contiguous copy."""
    if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous()


def inner_size(x: Tensor) -> int:
    """How many neighbours in memory share a channel, of x [N, C, H, W] in an image_format."""
    return x.shape[2] * x.shape[3] if x.is_contiguous() else 1


def laid_out_like(x: Tensor, other: Tensor) -> Tensor:
    """x with the strides of other, of the same shape; a copy unless it has them."""
    same = all(a == b or n == 1 for a, b, n in zip(x.stride(), other.stride(), x.shape, strict=True))
    return x if same else torch.empty_like(other, dtype=x.dtype).copy_(x)


def flat(x: Tensor, rows: int = 1) -> Tensor:
    """The memory of a dense tensor as [rows, elements / rows]."""
    columns = x.numel() // rows
    return x.as_strided((rows, columns), (columns, 1))


def like_step(x: Tensor, wanted: bool) -> Tensor:
    """Room for the potentials of one step of x [T, ...], in float32; no elements where they are not wanted."""
    return torch.empty_like(x[0], dtype=torch.float32) if wanted else x.new_empty(0, dtype=torch.float32)

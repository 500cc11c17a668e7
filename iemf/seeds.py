"""Independent streams of random numbers from one seed."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import torch


class Stream(IntEnum):
    """What a stream of random numbers is for; two streams of one seed have nothing in common."""

    ORDER = 1  # of training samples
    TRAINING_NOISE = 2
    FIXED_NOISE = 3  # of validation and test
    AUGMENTATION = 4
    SPLIT = 5  # into train and test, where a data set leaves it to us
    VALIDATION = 6  # set aside from train
    EXEMPLARS = 7  # of class-incremental learning
    TASK = 8  # initial weights of a task
    DROPOUT = 9  # of an epoch
    PAIRS = 10  # of sound with the pictures of another video
    HELD_OUT = 11  # of train, for a balancing method
    PROTOTYPES = 12  # training samples that they are the means of


def mix_seed(stream: Stream, *parts: int) -> int:
    """One 63-bit seed for a stream and any integers (run seed, epoch, ...); nearby inputs give unrelated seeds."""
    value = 0x9E3779B97F4A7C15
    for part in (stream, *parts):
        value = (value ^ (part & 0xFFFFFFFFFFFFFFFF)) * 0xBF58476D1CE4E5B9 % 2**64
        value ^= value >> 31
    return value >> 1


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The CPU's global random numbers start at ``seed`` inside the block and go on as before after it.

    Once a sample, it costs a twentieth of torch.random.fork_rng with torch.manual_seed, which reach every device.
    """
    generator = torch.default_generator
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)

"""Independent streams of random numbers from one seed."""

from enum import IntEnum


class Stream(IntEnum):
    """What a stream of random numbers is for; two streams of one seed have nothing in common."""

    ORDER = 1  # of training samples
    TRAINING_NOISE = 2
    FIXED_NOISE = 3  # of validation and test
    AUGMENTATION = 4


def mix_seed(stream: Stream, *parts: int) -> int:
    """One 63-bit seed for a stream and any integers (run seed, epoch, ...); nearby inputs give unrelated seeds."""
    value = 0x9E3779B97F4A7C15
    for part in (stream, *parts):
        value = (value ^ (part & 0xFFFFFFFFFFFFFFFF)) * 0xBF58476D1CE4E5B9 % 2**64
        value ^= value >> 31
    return value >> 1

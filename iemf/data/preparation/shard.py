"""A shard: some tens of decoded clips in one Arrow IPC file, memory-mapped by whoever reads it.

Columns: id (text), label (int16), audio (16-bit little-endian mono samples), frames (list of JPEG files). The schema's
metadata hold what the shard was made from (a fingerprint) and the clips that were skipped, so a shard that exists
under its name is whole and says itself whether it is still the one wanted.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import simplejpeg
import torch
from torch import Tensor

from iemf.data.clips import Choose
from iemf.errors import UserError
from iemf.files import whole_file

SCHEMA = pa.schema(
    [("id", pa.string()), ("label", pa.int16()), ("audio", pa.large_binary()), ("frames", pa.list_(pa.large_binary()))]
)
METADATA = b"iemf"
MOST_PIXELS = 2**26  # 8192 x 8192
# A shard, one that is being written, and the mark of one that is being made.
NAME = re.compile(r"\.?(train|val|test)-\d{5}\.(arrow(\.\d+)?|decoding)$")


@dataclass(frozen=True)
class Row:
    """A decoded clip: samples as bytes, frames as JPEG files."""

    id: str
    label: int
    audio: bytes
    frames: list[bytes]


def write(path: Path, rows: Sequence[Row], metadata: dict) -> None:
    """Write a shard, whole or not at all.

    Raises:
        OSError: the place cannot be written, or is full.
    """
    schema = SCHEMA.with_metadata({METADATA: json.dumps(metadata, sort_keys=True).encode()})
    columns = [
        [row.id for row in rows], [row.label for row in rows], [row.audio for row in rows], [row.frames for row in rows]
    ]  # fmt: skip
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    with whole_file(path, "wb") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))


def read_metadata(path: Path) -> dict | None:
    """What :func:`write` was given; None if the file is missing or is no shard."""
    try:
        with pa.memory_map(str(path)) as source:
            return json.loads(pa.ipc.open_file(source).schema.metadata[METADATA])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return None


class Shard:
    """An open shard; rows are read where they lie.

    Raises:
        UserError: the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
            if not self.batch.schema.equals(SCHEMA):
                raise pa.ArrowInvalid("it has other columns than a shard's")
            self.batch.validate(full=True)  # forged offsets would lead into memory that is not the file's
        except (OSError, IndexError, pa.ArrowException) as error:
            raise UserError(f"{path} cannot be read ({error}); remove it and prepare the data again") from None
        self.path = path

    @property
    def ids(self) -> list[str]:
        return self.batch.column("id").to_pylist()

    @property
    def labels(self) -> list[int]:
        return self.batch.column("label").to_pylist()

    def read(self, row: int, choose: Choose, samples: int) -> tuple[Tensor, Tensor]:
        """(the first ``samples`` of the wave [n] int16; chosen frames [N, 3, H, W] uint8)."""
        wave = np.frombuffer(self.batch.column("audio")[row].as_buffer(), "<i2")[:samples].astype(np.int16)
        frames = self.batch.column("frames")[row].values
        files = (np.frombuffer(frames[position].as_buffer(), np.uint8) for position in choose(len(frames)))
        # Not strict: a file that people's viewers open is decoded, stray bytes or not.
        pictures = list(map(self._decoded, files))
        return torch.from_numpy(wave), torch.from_numpy(np.stack(pictures)).movedim(-1, -3)

    def _decoded(self, file: np.ndarray) -> np.ndarray:
        """[H, W, 3] of a JPEG file, unless its header claims more pixels than a picture has: memory would be taken for
        all of them."""
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(file, strict=False)
            if height * width <= MOST_PIXELS:
                return simplejpeg.decode_jpeg(file, strict=False)
        except ValueError as error:
            raise UserError(f"{self.path} holds a damaged picture ({error}); remove it and prepare the data "
                            f"again") from None  # fmt: skip
        raise UserError(f"{self.path} holds a picture of {width} x {height}; remove it and prepare the data again")


def remove_others(folder: Path, keep: set[str]) -> None:
    """Delete shards that are not in ``keep``, and what a killed process left of one it was writing."""
    for path in folder.iterdir():
        if path.name not in keep and NAME.match(path.name):
            path.unlink()

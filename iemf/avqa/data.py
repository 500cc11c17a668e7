"""What question answering learns from: questions as numbers, beside the features of their videos."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from iemf.avqa import vocabulary
from iemf.avqa.pairs import Frames
from iemf.avqa.questions import Question
from iemf.avqa.vocabulary import UNKNOWN, Vocabulary

MODALITIES = ("audio", "visual")


class AVQABatch(NamedTuple):
    """audio [B, T, D_a], visual [B, T, C, H, W], words [B, 14], answer [B] (-1: train never had it), video [B]."""

    audio: Tensor
    visual: Tensor
    words: Tensor
    answer: Tensor
    video: Tensor


class Features(Protocol):
    """The features of videos, known by number: float16 or float32."""

    audio_size: int
    visual_size: int
    times: int  # T, moments that an answer sees
    seconds: int  # moments of a video, each with a sound and a picture

    def read(self, videos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """audio [B, T, D_a] and visual [B, T, C, H, W] of these videos."""

    def sounds(self, videos: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """[n, D_a], one moment of a video each."""

    def pictures(self, videos: np.ndarray, seconds: np.ndarray, shown_at: np.ndarray) -> np.ndarray:
        """[n, C, H, W], one moment of a video each; reads no other.

        ``shown_at``: the moments that they are shown at, for features that say what time it is.
        """


class ArrayFeatures:
    """Features in memory.

    Args:
        audio: [V, T, D_a].
        visual: [V, T, C, H, W].

    Raises:
        ValueError: shapes do not fit.
    """

    def __init__(self, audio: np.ndarray, visual: np.ndarray) -> None:
        if audio.ndim != 3 or visual.ndim != 5 or audio.shape[:2] != visual.shape[:2]:
            raise ValueError(f"need [V, T, D] and [V, T, C, H, W], got {list(audio.shape)} and {list(visual.shape)}")
        self.audio, self.visual = audio, visual
        self.audio_size, self.visual_size = audio.shape[2], visual.shape[2]
        self.times = self.seconds = audio.shape[1]

    def read(self, videos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.audio[videos], self.visual[videos]

    def sounds(self, videos: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        return self.audio[videos, seconds]

    def pictures(self, videos: np.ndarray, seconds: np.ndarray, shown_at: np.ndarray) -> np.ndarray:
        return self.visual[videos, seconds]


class AVQASplit(Dataset):
    """Questions of a split; ``__getitems__`` gives whole batches.

    Args:
        questions: in any order.
        words: their numbers.
        features: of the videos.
        video_of: {video id: its number in ``features``}.
        blind: modalities that are zeros.
        synthetic: ids of videos that were put together from others: their sound and picture may not belong together.

    Attributes:
        video_list: [V], the videos that are asked about, by their numbers in ``features``.
        places: [N], the place in it of each question's video.
        real: [R], places of the videos that are not synthetic.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        words: Vocabulary,
        features: Features,
        video_of: dict[str, int],
        blind: Sequence[str] = (),
        synthetic: Collection[str] = (),
    ) -> None:
        self.questions, self.vocabulary, self.features = list(questions), words, features
        self.video_of, self.blind = video_of, tuple(blind)
        self.words, self.answers = (torch.from_numpy(part) for part in vocabulary.encode(questions, words))
        self.videos = np.array([video_of[question.video] for question in questions], np.int64)
        self.synthetic = frozenset(synthetic)
        self.video_list, places = np.unique(self.videos, return_inverse=True)
        self.places = torch.from_numpy(places)
        made = np.array(sorted(video_of[video] for video in self.synthetic if video in video_of), np.int64)
        self.real = torch.from_numpy(np.flatnonzero(~np.isin(self.video_list, made)))

    @property
    def unknown(self) -> int:
        """Questions whose answer train never had."""
        return int((self.answers == UNKNOWN).sum())

    def blinded(self, blind: Sequence[str]) -> "AVQASplit":
        """The same questions with other modalities taken away."""
        return AVQASplit(self.questions, self.vocabulary, self.features, self.video_of, blind, self.synthetic)

    def __len__(self) -> int:
        return len(self.questions)

    def __getitems__(self, rows: list[int]) -> AVQABatch:
        chosen = torch.tensor(rows)
        videos = self.videos[rows]
        parts = [torch.from_numpy(np.ascontiguousarray(part)) for part in self.features.read(videos)]
        for number, name in enumerate(MODALITIES):
            if name in self.blind:
                parts[number] = torch.zeros_like(parts[number])
        return AVQABatch(*parts, self.words[chosen], self.answers[chosen], torch.from_numpy(videos))

    def pictures(self, frames: Frames, shown_at: Tensor) -> Tensor:
        """[..., C, H, W] of frames [...] of this split's videos; see :meth:`Features.pictures`."""
        numbers = self.video_list[frames.video.flatten().numpy()]
        shown = shown_at.expand(frames.second.shape).flatten().numpy()
        found = self.features.pictures(numbers, frames.second.flatten().numpy(), shown)
        found = torch.from_numpy(np.ascontiguousarray(found)).unflatten(0, frames.video.shape)
        return torch.zeros_like(found) if "visual" in self.blind else found

    def sounds(self, frames: Frames) -> Tensor:
        """[n, D_a] of moments [n] of this split's videos."""
        found = torch.from_numpy(self.features.sounds(self.video_list[frames.video.numpy()], frames.second.numpy()))
        return torch.zeros_like(found) if "audio" in self.blind else found


@dataclass
class AVQAData:
    """Three splits that share a vocabulary; ``about`` goes into the record of a run."""

    name: str
    vocabulary: Vocabulary
    train: AVQASplit
    val: AVQASplit
    test: AVQASplit
    about: dict = field(default_factory=dict)

    @property
    def audio_size(self) -> int:
        """D_a."""
        return self.train.features.audio_size

    @property
    def visual_size(self) -> int:
        """C, channels of the map."""
        return self.train.features.visual_size

    def blinded(self, blind: Sequence[str]) -> "AVQAData":
        """The same data without some modalities."""
        splits = {name: getattr(self, name).blinded(blind) for name in ("train", "val", "test")}
        return AVQAData(self.name, self.vocabulary, about=self.about, **splits)

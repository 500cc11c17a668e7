"""Small folders of features in the layout of the public AV-CIL release, for any of its three benchmarks."""

from pathlib import Path

import h5py
import numpy as np

from iemf.continual.benchmarks import BENCHMARKS

AUDIO, PLACES, VISUAL = 768, 1, 768  # as published, but for the number of places
COUNTS = {"train": 3, "val": 1, "test": 1}  # samples a class


def lists(name: str, counts: dict[str, int] = COUNTS) -> tuple[dict, dict]:
    """What the two list files hold: {split: {class id: videos}} and {class name: class id}."""
    classes = range(BENCHMARKS[name].classes)
    videos = {
        split: {label: [f"{split}{label}_{i}" for i in range(count)] for label in classes}
        for split, count in counts.items()
    }
    return videos, {f"class {label}": label for label in classes}


def write(folder: Path, name: str, hdf5: bool = False, counts: dict[str, int] = COUNTS) -> dict[str, np.ndarray]:
    """The release of benchmark ``name``; {video: its visual features [8 * PLACES, VISUAL]}."""
    rng = np.random.default_rng(0)
    videos, numbers = lists(name, counts)
    (folder / "audio_pretrained_feature").mkdir(parents=True)
    (folder / "visual_pretrained_feature").mkdir()
    np.save(folder / "all_classId_vid_dict.npy", videos)
    np.save(folder / "category_encode_dict.npy", numbers)
    names = [(video, label) for split in videos.values() for label, part in split.items() for video in part]
    audio = {video: rng.normal(label % 7, 1, AUDIO).astype(np.float32) for video, label in names}
    visual = {video: rng.normal(label % 5, 1, (8 * PLACES, VISUAL)).astype(np.float32) for video, label in names}
    np.save(folder / "audio_pretrained_feature" / "audio_pretrained_feature_dict.npy", audio)
    if hdf5:
        with h5py.File(folder / "visual_pretrained_feature" / "visual_features.h5", "w") as file:
            for video, array in visual.items():
                file.create_dataset(video, data=array)
    else:
        np.save(folder / "visual_pretrained_feature" / "visual_pretrained_feature_dict.npy", visual)
    return visual

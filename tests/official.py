"""Small trees in the official layouts of the paper's data sets: real media files, and the faults of downloads."""

from pathlib import Path

from tests.media import write_picture, write_sound, write_video

EMOTIONS = ("ANG", "HAP", "SAD")
PITCHES = (300.0, 900.0, 2700.0)
GIT_LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


def crema_d(root: Path, per_class: int = 8, lists: bool = True) -> dict[str, list[str]]:
    """AudioWAV and VideoFlash: three emotions, one film broken, one sound empty, one name unicode, one odd.

    Returns the clips of each split, faults included.
    """
    names: dict[str, list[str]] = {"train": [], "test": []}
    for label, emotion in enumerate(EMOTIONS):
        for i in range(per_class):
            name = f"10{i:02d}_DFA_{emotion}_XX" if i != 1 else f"10{i:02d}_DFÄ_{emotion}_XX"
            write_sound(root / "AudioWAV" / f"{name}.wav", 0.6, PITCHES[label])
            write_video(root / "VideoFlash" / f"{name}.flv", 0.6, PITCHES[label], colour=label)
            names["test" if i >= per_class - 2 else "train"].append(name)
    (root / "VideoFlash" / "1000_DFA_ANG_XX.flv").write_bytes(b"FLV\x01\x05" + b"\0" * 200)
    (root / "AudioWAV" / "1002_DFA_HAP_XX.wav").write_bytes(b"")
    write_sound(root / "AudioWAV" / "my notes (1).wav")
    if lists:
        for split, of_split in names.items():
            lines = [f"{name},{name.split('_')[2]}" for name in of_split]
            (root / f"{split}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return names


def kinetics_sounds(root: Path, per_class: int = 7) -> dict[str, list[str]]:
    """Three classes of labels 0, 1, 2: films by class in train, extracted frames and sounds in test, and the lists.

    One film is broken, one sound empty, one class has a unicode name, one id begins with a dash.
    """
    names: dict[str, list[str]] = {"train": [], "test": []}
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for label, folder in enumerate(("playing banjo", "café chatter", "tap dancing")):
        for i in range(per_class):
            youtube = f"{'-_Abcdefghi'[:10]}{label}" if i == 0 else f"clip{label}{i:06d}"
            if i < per_class - 2:
                name = f"{youtube}_{i:06d}_{i + 10:06d}"
                write_video(
                    root / "train" / folder / f"{name}{('.mp4', '.avi')[i % 2]}", 0.6, PITCHES[label], colour=label
                )
                split = "train"
            else:
                name, split = f"{youtube}_{i}", "test"
                for k in range(10):
                    frame = root / "test" / "video" / folder / youtube / f"frame_{k}.jpg"
                    write_picture(frame, label, (64, 48), 100 + 10 * k)
                write_sound(root / "test" / "audio" / folder / f"{youtube}.wav", 0.6, PITCHES[label])
            names[split].append(name)
            lines[split].append(f"{name},10,{label}")
    (root / "train" / "tap dancing" / "clip2000002_000002_000012.mp4").write_bytes(b"\0\0\0\x18ftypmp42 and no more")
    (root / "test" / "audio" / "tap dancing" / f"clip2{per_class - 1:06d}.wav").write_bytes(b"")
    for split, of_split in lines.items():
        (root / f"my_{split}.txt").write_text("\n".join(of_split) + "\n")
    return names


def urbansound8k_av(root: Path, per_class: int = 10) -> None:
    """Three classes of pairs; a picture is broken, a sound empty, a sound alone; a name is unicode, another odd."""
    for label, name in enumerate(("car_horn", "dog_bark", "siren")):
        for i in range(per_class):
            stem = {0: f"träger {i}", 1: "100 (2);-x"}.get(i, f"{i}-3-0-{label}")
            write_sound(root / "Dataset_v3_sound" / name / f"{stem}.wav", 0.6, PITCHES[label])
            write_picture(root / "Dataset_v3_vision" / name / f"{stem}.jpg", label)
    (root / "Dataset_v3_vision" / "car_horn" / "3-3-0-0.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    (root / "Dataset_v3_sound" / "dog_bark" / "4-3-0-1.wav").write_bytes(b"")
    (root / "Dataset_v3_vision" / "siren" / "5-3-0-2.jpg").unlink()

"""UrbanSound8K-AV (Guo et al. 2023): 8732 urban sounds of ten classes, each beside one picture.

    Dataset_v3_sound/dog_bark/x.wav    Dataset_v3_vision/dog_bark/x.jpg

There is no official split; ours is a seeded, stratified 7:3. (The code released with He et al. 2025 takes the first
70 % of each class in directory order, which differs from one file system to the next.)
"""

from pathlib import Path

from iemf.data.clip import Clip, visible
from iemf.data.preparation.encode import Form
from iemf.data.preparation.listing import Listing, files_by_stem, find_folder
from iemf.data.split import draw_split
from iemf.errors import UserError

CLASSES = ("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "engine_idling", "gun_shot",
           "jackhammer", "siren", "street_music")  # fmt: skip
PUBLISHED = {"total": 8732}
FORM = Form(seconds=4.0, frames=1, frame_size=160)
TEST_SHARE = 0.3
SOUNDS, PICTURES = "Dataset_v3_sound", "Dataset_v3_vision"


def list_clips(source: Path, lists: Path | None = None, seed: int = 0) -> Listing:
    """Every pair of a sound and a picture; what lacks its other half is listed with the problem.

    Args:
        source: holds Dataset_v3_sound and Dataset_v3_vision, or a folder that does.
        lists: must be None: the data set has no lists.
        seed: of the split.

    Raises:
        UserError: a folder is missing or is no class.
    """
    if lists is not None:
        raise UserError(f"`lists` {lists}: urbansound8k-av has no official lists; `split_seed` chooses the split")
    sounds, pictures = find_folder(source, SOUNDS), find_folder(source, PICTURES)
    for folder in (*visible(sounds), *visible(pictures)):
        if folder.is_dir() and folder.name not in CLASSES:
            raise UserError(f"{folder} is not a class ({', '.join(CLASSES)}); move it elsewhere")
    classes = tuple(name for name in CLASSES if (sounds / name).is_dir() or (pictures / name).is_dir())
    clips = [clip for label, name in enumerate(classes) for clip in _of_class(sounds / name, pictures / name, label)]
    if not clips:
        raise UserError(f"{sounds} and {pictures} hold no sounds and pictures; is `source` the right one?")
    in_test = draw_split([clip.label for clip in clips], TEST_SHARE, seed)
    splits = {
        split: [clip for clip, test in zip(clips, in_test, strict=True) if test == (split == "test")]
        for split in ("train", "test")
    }
    return Listing(classes, splits, {"split": f"7:3, stratified, seed {seed}"})


def _of_class(sounds: Path, pictures: Path, label: int) -> list[Clip]:
    heard = files_by_stem(sounds, (".wav",)) if sounds.is_dir() else {}
    seen = files_by_stem(pictures, (".jpg", ".jpeg", ".png")) if pictures.is_dir() else {}
    clips = []
    for name in sorted(heard.keys() | seen.keys()):
        sound, picture = heard.get(name), seen.get(name)
        problem = ""
        if sound is None or picture is None:
            problem = f"{sounds} holds no {name}.wav" if sound is None else f"{pictures} holds no {name}.jpg"
        clips.append(Clip(f"{sounds.name}/{name}", label, sound, (picture,) if picture else (), problem))
    return clips

"""Films read in batches: what is wrong or doubtful about one comes with it."""

import warnings

import pytest

from iemf.data.container import MediaWarning
from iemf.errors import UserError
from iemf.features import films


def read(path):
    if path.name == "broken":
        raise UserError("broken")
    for _ in range(2):
        warnings.warn(f"{path} is odd", MediaWarning, stacklevel=1)
    warnings.warn("of a library", UserWarning, stacklevel=1)
    return path.name


def test_faults_and_notes_come_with_the_film(tmp_path):
    with pytest.warns(UserWarning, match="of a library"):
        first, second = next(films.decoded([(0, tmp_path / "a"), (1, tmp_path / "broken")], read, 2, 0))
    assert first == films.Read(0, "a", None, (f"{tmp_path / 'a'} is odd",))
    assert second == films.Read(1, None, "broken", ())

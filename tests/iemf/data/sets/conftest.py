"""The official list files of the public data sets."""

import pytest

from tests.conftest import OFFICIAL


@pytest.fixture
def official_lists():
    if not OFFICIAL.is_dir():
        pytest.skip("the official list files are not at hand; IEMF_OFFICIAL_LISTS names their folder")
    return OFFICIAL

"""Programs as their modules run them, and data for them."""

import pytest

from experiments.avqa import data as qa_data
from tests import official
from tests.experiments import helpers
from tests.preparing import SMALL


@pytest.fixture(scope="package", autouse=True)
def fast():
    with helpers.fast():
        yield


@pytest.fixture(scope="session")
def call():
    """Run a program as its module does; (exit code, stdout, stderr)."""
    return helpers.call


@pytest.fixture(scope="module")
def here():
    """Sweeps train in this process, which sees a test's patches."""
    with helpers.pool_of_one():
        yield


@pytest.fixture(scope="module")
def small(here):
    """Few digits, and no other processes, which would not know of it."""
    with helpers.few_digits():
        yield


@pytest.fixture(scope="session")
def made_qa(tmp_path_factory):
    """The folder of a small av-digits-qa."""
    folder = tmp_path_factory.mktemp("qa") / "cache"
    with helpers.fast(), helpers.few_digits(), helpers.few_scenes():
        qa_data.make_if_missing(folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def digits_qa(made_qa, small):
    """It, and programs that know how small it is."""
    with helpers.few_scenes():
        yield made_qa


@pytest.fixture
def prepared(call, tmp_path):
    """A prepared folder of 12 pairs, less the faulty."""
    raw, out = tmp_path / "raw", tmp_path / "prepared"
    official.urbansound8k_av(raw, per_class=8)
    assert call("prepare", "urbansound8k-av", "--source", raw, "--out", out, *SMALL, "--max-skipped", 0.5)[0] == 0
    return out

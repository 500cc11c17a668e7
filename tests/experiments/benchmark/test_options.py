"""What cannot be timed."""

import pytest

from experiments.benchmark import run
from experiments.benchmark.options import BenchmarkConfig
from iemf.errors import UserError


@pytest.mark.parametrize(
    ("options", "message"), [({"repeats": 0}, "repeats"), ({"old_spikingjelly": "nowhere"}, "nowhere")]
)
def test_what_cannot_be_timed_is_refused(tmp_path, options, message):
    if "old_spikingjelly" in options:
        options = {"old_spikingjelly": tmp_path / "nowhere"}
    with pytest.raises(UserError, match=message):
        run.main(BenchmarkConfig("lif", **options))


@pytest.mark.parametrize("what", ["loader", "features", "avqa"])
def test_an_option_that_a_timing_does_not_read_is_refused(what):
    with pytest.raises(UserError, match=f"`width` 32 is of no use to the benchmark {what}; leave it out"):
        run.main(BenchmarkConfig(what, width=32))

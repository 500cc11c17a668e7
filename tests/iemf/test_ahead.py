"""The next is read while the last is worked on."""

import threading
import time

import pytest

from iemf.ahead import read_ahead
from iemf.errors import UserError


def test_the_next_is_read_while_one_is_worked_on():
    begun = []
    second = threading.Event()

    def read(job):
        begun.append(job)
        if job == 1:
            second.set()
        return 10 * job

    found = []
    for value in read_ahead(range(4), read):
        if value == 0:
            assert second.wait(10)  # 1 is read while 0 is in hand
            time.sleep(0.05)
            assert begun == [0, 1]  # and no more than that
        found.append(value)
    assert found == [0, 10, 20, 30]
    assert list(read_ahead([], read)) == []


def test_what_reading_raises_is_raised():
    def read(job):
        if job:
            raise UserError("broken")
        return job

    stream = read_ahead(range(3), read)
    assert next(stream) == 0
    with pytest.raises(UserError, match="broken"):
        list(stream)

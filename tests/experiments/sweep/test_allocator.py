"""Memory that is kept."""

import platform
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.skipif("glibc" not in platform.libc_ver()[0], reason="glibc's malloc")
def test_keeping_freed_memory_is_accepted_by_the_c_library():
    code = "from experiments.sweep.allocator import keep_freed_memory; print(keep_freed_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "True"

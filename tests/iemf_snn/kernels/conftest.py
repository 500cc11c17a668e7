"""The fused operations on either implementation: Numba's, and the CUDA source compiled for the host."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from iemf_snn.kernels import cupy_cuda, numba_cpu, operators

HOST_SHIM = Path(__file__).with_name("cuda_on_host.cpp")


@pytest.fixture(scope="session")
def host_library(tmp_path_factory):
    """lif.cu as a shared library of the host."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++ with C++20")
    library = tmp_path_factory.mktemp("cuda") / "lif.so"
    options = ["-std=c++20", "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-pthread", "-Wno-unknown-pragmas"]
    subprocess.run([compiler, *options, f'-DSOURCE="{cupy_cuda.SOURCE}"', HOST_SHIM, "-o", library], check=True)
    return ctypes.CDLL(library)


@pytest.fixture(params=["numba", "cuda source"])
def implementation(request, monkeypatch):
    """Makes iemf::lif and iemf::norm_lif run on it, for tensors of the CPU."""
    if request.param == "numba":
        return numba_cpu
    library = request.getfixturevalue("host_library")

    def run_on_host(expression, grid, block, arguments, device):
        values = [ctypes.c_void_p(a) if type(a) is int else ctypes.c_buffer(a.tobytes()) for a in arguments]
        addresses = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        assert library.run(expression.encode(), *grid, *block, addresses) == 0, f"no kernel {expression}"

    monkeypatch.setattr(cupy_cuda, "_run", run_on_host)
    monkeypatch.setattr(cupy_cuda, "channel_moments", numba_cpu.channel_moments)  # torch's own on CUDA
    monkeypatch.setattr(operators, "_of", lambda x: cupy_cuda)
    return cupy_cuda

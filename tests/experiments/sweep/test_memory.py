"""Sizes that no memory holds: one line that names them, never the traceback of an allocator."""

import resource
from types import SimpleNamespace

import pytest
import torch

from experiments.sweep import command_line
from experiments.sweep.memory import SIZES, enough_for
from experiments.sweep.options import RunBase
from iemf.errors import UserError
from iemf.training import Trainer

SHORT = ("--epochs", 1, "--no-progress")


@pytest.fixture
def limited():
    """An address space of 64 GB, so that a large machine refuses what a small one does."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (64 * 10**9, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    ("program", "options", "words"),
    [
        ("classification", ("--width", 10**9), "for 196000000000 bytes more; what"),
        ("classification", ("--network", "snn", "--width", 2, "--time-steps", 10**9), "--time-steps 1000000000"),
        ("compare", ("--methods", "concat", "--variants", "joint", "--networks", "ann", "--seeds", 0, "--width", 10**9),
         "ann-concat-joint-seed0: not enough memory"),
        ("compare", ("--methods", "concat", "--width", 10**9, "--dry-run"), "--width 1000000000"),
        ("continual", ("--seeds", 0, "--methods", "lwf", "--variants", "joint", "--features", 10**9), "--features 100"),
    ],
)  # fmt: skip
def test_an_allocation_that_fails_is_one_line_with_the_options_that_set_sizes(
    call, small, limited, tmp_path, program, options, words
):
    code, _, error = call(program, *SHORT, *options, "--out", tmp_path / "out")
    assert (code, error.count("\n")) == (2, 1), error
    assert "not enough memory" in error
    assert "lower one of them" in error
    assert words in error


@pytest.mark.parametrize("name", ["width", "batch_size", "epochs", "time_steps"])
def test_integers_that_are_no_size_of_anything_are_refused(call, small, tmp_path, name):
    option = "--" + name.replace("_", "-")
    code, _, error = call("classification", "--network", "snn", option, 10**23, "--out", tmp_path / "out")
    assert (code, error.count("\n")) == (2, 1)
    assert f"{option} {10**23} must be below 2^32" in error
    code, _, error = call("firing_rates", "--run", tmp_path, "--batch-size", 2**32)
    assert "--batch-size 4294967296 must be below 2^32" in error


def test_seconds_that_no_sound_has_are_refused(call, tree, tmp_path):
    code, _, error = call("classification", "--dataset", "folder", "--data-root", tree, "--seconds", 1e12, "--out",
                          tmp_path / "out")  # fmt: skip
    assert code == 2
    assert "--seconds 1e+12 must be 3600 or less" in error


def test_a_batch_of_more_than_there_is_is_all_of_it(call, small, tmp_path):
    assert call("classification", *SHORT, "--width", 2, "--batch-size", 10**9, "--out", tmp_path / "out")[0] == 0


def test_a_gpu_that_is_full_in_training_names_the_batch_size(call, small, monkeypatch, tmp_path):
    def full(self, resume=False):
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of\n 3"
        )

    monkeypatch.setattr(Trainer, "fit", full)
    code, _, error = call("classification", *SHORT, "--width", 2, "--out", tmp_path / "out")
    assert (code, error.count("\n")) == (2, 1)
    assert "not enough memory for 20.00 GiB more; what needs it is set by --batch-size 32, --width 2" in error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("Storage size calculation overflowed with sizes=[1000000000000000000, 1, 7, 7]"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("Caught MemoryError in DataLoader worker process 0.\nnumpy: Unable to allocate 7 GiB"),
    ],
)
def test_ways_of_saying_it(error):
    words = "not enough memory; what needs it is set by `batch_size` 8: lower"
    with pytest.raises(UserError, match=words), enough_for(SimpleNamespace(batch_size=8)):
        raise error


def test_other_errors_are_defects_and_keep_their_traceback():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), enough_for(RunBase()):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(UserError, match="what needs it is set by `batch_size`: lower"), enough_for(RunBase()):
        raise MemoryError


def test_every_option_that_sets_a_size_is_one_of_some_program():
    known = {name for config in command_line.configs().values() for name in config.__dataclass_fields__}
    assert set(SIZES) <= known

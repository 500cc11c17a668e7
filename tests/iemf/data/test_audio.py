"""Sound at one rate: what becomes of a tone, and what it costs."""

import resource
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from iemf.data import audio
from iemf.errors import UserError
from tests.media import write_sound


@pytest.mark.parametrize("rate", [4000, 8000, 11024, 16000, 44056, 44100, 48000, 192000])
def test_a_tone_keeps_its_pitch_level_and_phase(tmp_path, rate):
    """0.5 sin(2π 1000 t): amid the sound, a second is 1000 whole periods, of level 0.5 and phase -π/2 to a cosine."""
    write_sound(tmp_path / "a.wav", 3.0, 1000.0, rate)
    wave = audio.read(tmp_path / "a.wav").numpy()
    assert wave.dtype == np.float32
    assert len(wave) == 66150
    spectrum = np.fft.rfft(wave[22050:44100]) / 11025
    assert np.abs(spectrum).argmax() == 1000
    assert np.abs(spectrum[1000]) == pytest.approx(0.5, abs=0.002)
    assert np.angle(spectrum[1000]) == pytest.approx(-np.pi / 2, abs=0.01)


def test_a_tone_that_the_new_rate_cannot_hold_is_gone(tmp_path):
    """15 kHz at 48 kHz would come back as 22.05 - 15 = 7.05 kHz."""
    write_sound(tmp_path / "a.wav", 1.0, 15000.0, 48000)
    assert audio.read(tmp_path / "a.wav")[2205:-2205].abs().max() < 1e-3


@pytest.mark.parametrize("rate", [4000, 11024, 44056, 96000, 192000])
def test_every_rate_costs_about_the_same(tmp_path, rate):
    """A polyphase filter from 11024 to 22050 Hz has 11025 phases: 1 GB for three seconds, a thousand times the time."""
    usual, odd = tmp_path / "usual.wav", tmp_path / "odd.wav"
    write_sound(usual, 3.0, 440.0, 44100)
    write_sound(odd, 3.0, 440.0, rate)
    cost = {path: min(_cost(path) for _ in range(7)) for path in (usual, usual, odd)}  # the first time warms up
    # The samples of the file cost something too, and of those there are rate / 44100 times as many.
    assert cost[odd] < 5 * max(1, rate / 44100) * cost[usual]


@pytest.mark.parametrize("rate", [4000, 11024, 44056, 192000])
def test_every_rate_needs_about_the_same_memory(tmp_path, rate):
    write_sound(tmp_path / "a.wav", 3.0, 440.0, rate)
    audio.read(tmp_path / "a.wav")
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    except OSError:
        pytest.skip("the system does not measure the peak of memory")
    before = _status("VmRSS")
    audio.read(tmp_path / "a.wav")
    assert _status("VmHWM") - before < 30_000  # KB; the samples themselves are 7 MB at most


def _cost(path):
    """Seconds of this process alone, as other processes may want the cores."""
    begin = time.process_time()
    audio.read(path)
    return time.process_time() - begin


def _status(name):
    """KB of this process."""
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if name in line)


def test_a_wave_that_is_nothing_at_the_new_rate_is_named(tmp_path):
    write_sound(tmp_path / "a.wav", 1 / 192000, 440.0, 192000)
    with pytest.raises(UserError, match=r"a\.wav holds no sound"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize("seconds", [None, 2.0])
def test_a_header_that_claims_ten_gigabytes_takes_no_memory(tmp_path, seconds):
    """2^36 - 1 samples by the header of a FLAC file of a second; 4 GB by that of a WAV file."""
    wave = (0.3 * np.sin(np.arange(16000))).astype(np.float32)
    soundfile.write(tmp_path / "x.flac", wave, 16000)
    content = bytearray((tmp_path / "x.flac").read_bytes())
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    (tmp_path / "x.flac").write_bytes(content)
    soundfile.write(tmp_path / "x.wav", wave, 16000)
    content = bytearray((tmp_path / "x.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xf0\xff\xff\xff"
    (tmp_path / "x.wav").write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("x.flac", "x.wav"):
        with pytest.raises(UserError, match=rf"{name} (is truncated|cannot be read)"):
            audio.read(tmp_path / name, seconds=seconds)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.parametrize("rate", [1, 2_000_000])
def test_a_rate_that_no_sound_has_is_refused(tmp_path, rate):
    soundfile.write(tmp_path / "x.wav", np.zeros(100, np.float32), rate)
    with pytest.raises(UserError, match=rf"x\.wav declares {rate} samples a second"):
        audio.read(tmp_path / "x.wav")

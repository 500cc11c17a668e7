"""The table of lif and step: medians, and ratios of medians."""

import statistics

import torch

from experiments.benchmark.options import BenchmarkConfig

PASSES = 5 / 2  # copies that the bound is worth: read x, write s; read g, read x, write g_x
MIB = 2**20


def median(result: dict) -> float:
    return statistics.median(result["seconds"])


def rows(config: BenchmarkConfig, results: dict[str, dict]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table."""
    against = median(results["spikingjelly"])
    header = ["", "version", "median", "min – max", "times SpikingJelly's speed"]
    header += ["of the bound" if config.what == "lif" else "times the ANN's step", "memory", "first call"]
    table = []
    for name, result in results.items():
        seconds, middle = result["seconds"], median(result)
        if config.what == "lif":
            last = f"{100 * PASSES * median(results['copy']) / middle:.0f} %" if name != "copy" else "–"
        else:
            last = f"{middle / median(results['ann']):.2f}"
        spread = f"{1e3 * min(seconds):.1f} – {1e3 * max(seconds):.1f}"
        speed = f"{against / middle:.2f}" if name != "copy" else "–"
        memory = f"{result['peak_bytes'] / MIB:.0f} MiB"
        first = f"{result['first_seconds']:.1f} s"
        table.append([name, result["version"], f"{1e3 * middle:.1f} ms", spread, speed, last, memory, first])
    return header, table


def markdown(config: BenchmarkConfig, results: dict[str, dict]) -> str:
    """The table and a line on how it came about."""
    header, table = rows(config, results)
    lines = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *table]]
    about = results["spikingjelly"]
    where = f"{about['threads']} threads" if config.device == "cpu" else torch.cuda.get_device_name()
    what = f"forward + backward, {list(config.shape)} {config.dtype}"
    if config.what == "step":
        what = f"training step, width {config.width}, batch {config.batch_size}, {config.image_size} x "
        what += f"{config.image_size}, T = {config.time_steps}"
    repetitions = f"{len(about['seconds'])} repetitions in {config.repeats} turns"
    lines += ["", f"{what}; {where}, torch {about['torch']}, {repetitions}."]
    if config.what == "lif":
        copy, size = results["copy"], torch.empty(0, dtype=getattr(torch, config.dtype)).element_size()
        moved = 2 * size * torch.Size(config.shape).numel()
        bandwidth = moved / median(copy) / 1e9
        lines[-1] += f" A copy moves {bandwidth:.1f} GB/s; the bound is {PASSES} copies: five passes over the tensor."
    else:
        ours = results["cupy" if config.device == "cuda" else "numba"]
        share = statistics.median(a / b for a, b in zip(ours["iemf_seconds"], ours["seconds"], strict=True))
        lines[-1] += f" Computing and applying ξ is {100 * share:.2f} % of our step."
    return "\n".join(lines) + "\n"

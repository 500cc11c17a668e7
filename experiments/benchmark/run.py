"""One program for all timings: measure, print the table, write both."""

from experiments.benchmark import avqa, features, loader, methods, options, processes, report
from experiments.benchmark.options import BenchmarkConfig
from iemf.files import write_atomically, write_json


def measured(config: BenchmarkConfig) -> tuple[object, str]:
    """(all timings, the table) of what the config names."""
    if config.what == "loader":
        results = loader.measure(config.repeats)
        return results, loader.markdown(results)
    if config.what in ("features", "avqa", "methods"):
        module = {"features": features, "avqa": avqa, "methods": methods}[config.what]
        results = module.measure(config.repeats, config.device)
        return results, module.markdown(results)
    results = processes.measure(config)
    return results, report.markdown(config, results)


def main(config: BenchmarkConfig) -> None:
    """Time, print the table, and write it if asked to."""
    options.check(config)
    results, table = measured(config)
    print(table)
    if config.out is not None:
        config.out.mkdir(parents=True, exist_ok=True)
        write_json(config.out / f"{config.what}.json", results)
        write_atomically(config.out / f"{config.what}.md", table)

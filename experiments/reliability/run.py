"""One program for all trials: try, print the table, write both."""

from experiments.reliability import fuzz, kills, options, soak
from experiments.reliability.options import ReliabilityConfig
from iemf.errors import UserError
from iemf.files import write_atomically, write_json


def main(config: ReliabilityConfig) -> None:
    """Try, print the table, and write it if asked to.

    Raises:
        UserError: something was lost; the table says what.
    """
    options.check(config)
    if config.what == "kills":
        records = kills.measure(config.trials or 56, config.seed)
        table, lost = kills.markdown(records), kills.lost(records)
    elif config.what == "fuzz":
        records = fuzz.measure(config.minutes or 1.0, config.seed)
        table, lost = fuzz.markdown(records), fuzz.lost(records)
    else:
        records = soak.measure(config.minutes or 1.0)
        table, lost = soak.markdown(records), soak.lost(records)
    print(table)
    if config.out is not None:
        config.out.mkdir(parents=True, exist_ok=True)
        write_json(config.out / f"{config.what}.json", records)
        write_atomically(config.out / f"{config.what}.md", table)
    if lost:
        raise UserError(f"{len(lost)} trial(s) failed; the first: {lost[0]}")

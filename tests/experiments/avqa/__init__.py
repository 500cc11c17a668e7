from experiments.avqa.options import RunConfig, resolve


def run_of(digits_qa, out, **options):
    """A small resolved run."""
    small = {"epochs": 2, "match_epochs": 1, "width": 8, "batch_size": 64, "cache": digits_qa, "progress": False}
    return resolve(RunConfig(out=out, **(small | options)))

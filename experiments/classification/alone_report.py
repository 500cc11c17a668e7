"""What a comparison's report says of networks of one modality: their rows, and the heads of the others beside them."""

import statistics

from experiments.classification.options import ALONE
from experiments.sweep.report import Cells, values, variants_of
from experiments.sweep.statistics import BySeed, Cell, difference, paired, plus_minus
from experiments.sweep.table import table_lines
from iemf.analysis.style import ALONE_LABELS, MODALITY_LABELS, SHORT_VARIANT_LABELS, VARIANT_LABELS

NOTE = (
    "Test accuracy in % of one modality: of a network of its own (alone), and of the heads inside the networks above, "
    "at the epochs that their fusion was best. In vanilla the heads are probes: they read the encoder's features and "
    "teach it nothing. With joint learning and IEMF their losses train the encoder too. Alone, encoder and head begin "
    "with the same weights as there, and see the same samples in the same order, with the same noise."
)


def parted(cells: Cells) -> tuple[Cells, Cells]:
    """(cells of both modalities, cells of one)."""
    return tuple({cell: of for cell, of in cells.items() if (cell[2] == ALONE) == one} for one in (False, True))


def heads_table(cells: Cells, labels: dict[str, str]) -> str:
    """One row a network, modality and method; columns: alone, and the head of each variant.

    Args:
        cells: of both modalities and of one.
        labels: of the methods.
    """
    whole, one = parted(cells)
    alone, variants, rows = values(one, "test_accuracy"), variants_of(whole), []
    for network, modality in dict.fromkeys(cell[:2] for cell in one):
        heads = values(whole, f"test_accuracy_{modality}")
        for method in dict.fromkeys(cell[1] for cell in whole):
            of = [list(heads.get((network, method, variant), {}).values()) for variant in variants]
            mine = list(alone[network, modality, ALONE].values())
            rows.append([MODALITY_LABELS[modality], network.upper(), labels[method], *map(plus_minus, [mine, *of])])
    header = ["modality", "network", "head in", ALONE, *(VARIANT_LABELS[v] for v in variants)]
    return "\n".join([table_lines(header, rows), "", NOTE])


def better_alone(cells: Cells) -> dict[str, tuple[str, BySeed]]:
    """{network: (the modality whose network is better on validation, its test accuracies by seed)}."""
    _, one = parted(cells)
    validation, test, found = values(one, "val_accuracy"), values(one, "test_accuracy"), {}
    for network in dict.fromkeys(cell[0] for cell in one):
        mine = [cell for cell in one if cell[0] == network]
        best = max(mine, key=lambda cell: statistics.fmean(validation[cell].values()))
        found[network] = best[1], test[best]
    return found


def fusion_in_words(cells: Cells) -> str:
    """What the fused accuracies are above that of the better modality alone; empty without networks of one."""
    whole, _ = parted(cells)
    better, accuracy = better_alone(cells), values(whole, "test_accuracy")
    if not better:
        return ""
    named = ", ".join(f"{ALONE_LABELS[modality].split()[0]} ({network.upper()})"
                      for network, (modality, _) in better.items())  # fmt: skip
    told = f" The better modality alone, by validation: {named}."
    for variant in variants_of(whole):
        rows = [_above(cell, by_seed, better) for cell, by_seed in accuracy.items() if cell[2] == variant]
        means = [f"{statistics.fmean(row):+.2f}" for row in rows if row]
        name = f"{SHORT_VARIANT_LABELS[variant]} − better alone"
        told += f" {name}: {min(means, key=float)} to {max(means, key=float)} over the rows." if means else ""
        told += paired(name, rows)
    return told


def _above(cell: Cell, by_seed: BySeed, better: dict[str, tuple[str, BySeed]]) -> list[float]:
    return difference(by_seed, better[cell[0]][1]) if cell[0] in better else []

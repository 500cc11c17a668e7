"""Draw docs/overview.png, the README's picture of what the project does.

python docs/overview.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.patches import FancyBboxPatch

from iemf.analysis.style import COLOURS
from iemf.coefficient import inverse_effectiveness
from iemf.data.sets import av_digits


def box(axis, x, y, w, h, text, colour, face="white", size=10):
    shape = "round,pad=0.02,rounding_size=0.12"
    axis.add_patch(FancyBboxPatch((x, y), w, h, boxstyle=shape, lw=1.6, ec=colour, fc=face))
    axis.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=size)


def arrow(axis, start, end, colour, line="-"):
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.4, "ls": line, "shrinkA": 1, "shrinkB": 1}
    axis.annotate("", end, start, arrowprops=style)


def main() -> None:
    figure = plt.figure(figsize=(11.5, 4.7))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_xlim(0, 23)
    axis.set_ylim(0, 9.4)
    axis.axis("off")
    audio, visual, fusion = COLOURS["audio"], COLOURS["visual"], COLOURS["iemf"]

    test = av_digits.load().test
    snr = test.snr
    clear = (test.labels == 4) & (snr["audio"] > -4) & (snr["visual"] < -4) & (snr["visual"] > -8)
    index = int(clear.nonzero()[2, 0])
    rows = (("audio", 5.55, audio, "sound: “four”"), ("visual", 0.95, visual, "image: 4"))
    x = 0.3
    for name, y, colour, label in rows:
        inset = figure.add_axes((x / 23, y / 9.4, 2.6 / 23, 2.6 / 9.4))
        inset.imshow(test.noisy[name][index, 0], origin="lower" if name == "audio" else "upper", cmap="magma")
        inset.set_xticks([])
        inset.set_yticks([])
        axis.text(x + 1.3, y + 2.85, f"{label}, SNR {test.snr[name][index]:.0f} dB", ha="center", fontsize=8.5)
        middle = y + 1.3
        arrow(axis, (x + 2.75, middle), (4.0, middle), colour)
        box(axis, 4.1, middle - 0.85, 3.5, 1.7, "ResNet-18\nANN: ReLU, or\nSNN: LIF, T = 4", colour)
        arrow(axis, (7.75, middle), (9.0, middle), colour)
        axis.text(8.35, middle + 0.25, r"$z_a$" if name == "audio" else r"$z_v$", ha="center", fontsize=11)
        box(axis, 9.1, middle - 0.5, 2.3, 1.0, "head", colour)
        axis.text(11.75, middle, r"$p_a$" if name == "audio" else r"$p_v$", fontsize=12, va="center")
    arrow(axis, (8.7, 6.7), (9.6, 5.25), audio)
    arrow(axis, (8.7, 2.4), (9.6, 3.85), visual)
    box(axis, 8.8, 3.95, 2.9, 1.2, "fusion layer $W_f$", fusion, face="#FBE6D8", size=11)
    axis.text(12.0, 4.55, r"$p_{av}$", fontsize=12, va="center")

    box(axis, 13.6, 5.9, 4.0, 1.9, "unimodal strength\n$S_{uni}$ = mean of $p_a(y)$, $p_v(y)$", "#555555", size=9.5)
    box(axis, 13.6, 3.55, 4.0, 1.9, "fused strength\n$S_{av}$ = mean $p_{av}(y)$", "#555555", size=9.5)
    arrow(axis, (12.4, 6.9), (13.5, 6.9), "#555555", line="--")
    axis.plot([12.4, 12.95, 12.95], [2.25, 2.25, 6.45], color="#555555", ls="--", lw=1.4)
    arrow(axis, (12.95, 6.45), (13.5, 6.45), "#555555", line="--")
    arrow(axis, (12.75, 4.55), (13.5, 4.55), "#555555", line="--")
    arrow(axis, (17.7, 6.85), (18.7, 6.2), "#555555", line="--")
    arrow(axis, (17.7, 4.55), (18.7, 5.0), "#555555", line="--")
    axis.text(16.4, 2.85, r"$\xi = \gamma\,(1 + \tanh(1 - S_{uni}/S_{av}))$", fontsize=12.5, ha="center")
    axis.text(16.4, 1.95, "scales the update of the fusion layer alone:", fontsize=10, ha="center")
    axis.text(16.4, 1.2, r"$W_f \leftarrow W_f - \eta\,\xi\,\nabla W_f$", fontsize=12.5, ha="center", color=fusion)
    axis.text(10.25, 0.45, r"loss: $L_{av} + L_a + L_v$", fontsize=10, ha="center")
    arrow(axis, (13.6, 2.75), (11.8, 4.0), fusion)

    curve = figure.add_axes((19.35 / 23, 4.3 / 9.4, 3.3 / 23, 3.0 / 9.4))
    ratio = torch.linspace(0, 2, 101)
    curve.plot(ratio, inverse_effectiveness(ratio, torch.ones(101)), color=fusion, lw=2)
    curve.axhline(1, color="grey", lw=0.6)
    curve.axvline(1, color="grey", lw=0.6)
    curve.set_xlabel(r"$S_{uni}/S_{av}$", fontsize=9, labelpad=1)
    curve.set_title("ξ at γ = 1", fontsize=9)
    curve.tick_params(labelsize=7)
    curve.set_xticks([0, 1, 2])
    curve.set_yticks([0, 1, 1.76])
    axis.text(20.9, 2.75, "weak unimodal evidence:\nfusion learns faster", fontsize=8.5, ha="center", va="center")
    figure.savefig(Path(__file__).with_name("overview.png"), dpi=130)


if __name__ == "__main__":
    main()

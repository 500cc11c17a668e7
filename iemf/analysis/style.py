"""The words, colours and lines of every picture and table, each in this one place."""

# Okabe & Ito's palette: told apart by everyone, and in grey.
COLOURS = {
    "vanilla": "#999999",
    "joint": "#56B4E9",
    "iemf": "#D55E00",
    "audio": "#0072B2",
    "visual": "#009E73",
    "fusion": "#CC79A7",
    "heard": "#E69F00",
    "trained": "#F0E442",
    "scan": "#8B5A2B",
}
SHORT_VARIANT_LABELS = {"vanilla": "vanilla", "joint": "joint", "iemf": "IEMF"}
VARIANT_LABELS = {"vanilla": "vanilla", "joint": "joint (ξ = 1)", "iemf": "IEMF"}
NETWORK_LABELS = {"ann": "ANN", "snn": "SNN"}
NEURON_LABELS = {"ann": "ReLU", "snn": "LIF"}
ALONE_LABELS = {"audio": "audio alone", "visual": "visual alone", "scan": "scan alone"}  # networks of one modality
MODALITY_LABELS = {"audio": "sound", "visual": "images", "scan": "scans"}
WEIGHT_LABELS = {"fusion": "fusion weights", "all": "all weights"}
PLACE_LABELS = MODALITY_LABELS | {"fusion": "fusion"}  # of spiking layers
# Curves that lie on each other are told apart by their dashes.
ALONE_LINES = {"audio": "-.", "visual": ":", "scan": (0, (5, 2, 1, 2, 1, 2))}
VARIANT_LINES = {"vanilla": "-", "joint": "-", "iemf": "--"}
MODEL_LINES = {"baseline": "--", "st-avqa": "-"}
BALANCED_MODEL_LINES = (":", "-.")  # with a balancing method

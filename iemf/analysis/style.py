"""temporary"""

VARIANT_LABELS = {"vanilla": "vanilla", "joint": "joint (ξ = 1)", "iemf": "IEMF"}
SHORT_VARIANT_LABELS = {"vanilla": "vanilla", "joint": "joint", "iemf": "IEMF"}
MODALITY_LABELS = {"audio": "sound", "visual": "images"}

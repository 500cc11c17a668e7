"""The hooks of a balancing method; a method overrides the two or three it needs.

One training step runs: forward, ``loss``, ``weighted``, ``before_backward``, backward, unscale, ``on_gradients``, ξ on
the fusion layer, clip, step. ``on_epoch`` comes before an epoch's steps, ``on_validation`` behind them.
Methods know modalities by name and networks by :class:`Fusing` alone, so that they apply in every task.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iemf.errors import UserError
from iemf.logits import Logits
from iemf.scaling import Scaling, default_scale

Accuracies = Mapping[str, float]  # percent, of each modality's head by name, and of the fusion as "fused"


RELEASED_LABEL_SMOOTHING = 0.1


class Fusing(Protocol):
    """What a method sees of a network. Mappings are by modality name."""

    encoders: Mapping[str, nn.Module]  # all that reaches the fusion through the modality's own features, and them alone
    heads: Mapping[str, nn.Module]  # features [B, F] -> logits [B, C]
    fusion: nn.Module  # the layer that IEMF modulates
    splits: bool  # whether the fused logits are a sum over modalities
    train_encoders_by_heads: bool  # whether the heads' losses reach the encoders

    def contributions(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The modalities' parts of the fused logits, [B, C] each, which sum to them; called if ``splits`` alone."""
        ...

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        """The fused logits [B, C] of features; not there where they are not of the modalities' features alone."""
        ...


class Readable(Protocol):
    """What a method sees of a network's output."""

    logits: Logits
    features: Mapping[str, Tensor]  # by modality, [B, F]: what its head reads


class TrainingRows(Protocol):
    """What a method may read of the training set between epochs."""

    trained: Sequence[int]  # rows that are trained on, over all processes
    held: Sequence[int]  # rows that are not: the method's ``held_out`` share

    def outputs(self, rows: Sequence[int], epoch: int) -> Iterator[tuple[Readable, Tensor]]:
        """(output, labels) of this process's share of ``rows``, as an epoch's noise has them, evaluated as in
        validation, without gradients."""
        ...

    def alone(self, name: str, epochs: range, optimizer: torch.optim.Optimizer) -> "TrainingRows":
        """The same rows behind a copy of the network that has learnt from one loss, "fused" or a modality's, and from
        it alone, for some epochs, by an optimiser like this one that starts anew."""
        ...


class Method:
    """A way to train the fusion; this base leaves the task's own loss and its gradients as they are.

    Args:
        network: the network whose gradients ``on_gradients`` may change.
        seed: of the method's own random numbers, if it draws any; the same on every replica.
        recipe: "paper" follows the papers; "released" what the code released with He et al. 2025 does instead.

    Raises:
        UserError: the method is of two modalities and the network has more; or it needs a fusion whose logits split,
            or one that can be asked anew, or heads that train the encoders, and the network has none.
    """

    name: str  # on a command line; both are set by :func:`register`
    label: str  # in tables and pictures
    constant: float | None = None  # its own, above 0; which it is, its file says; None: it has none
    of_two = False  # whether it is a rule for two modalities alone
    needs_split = False  # whether it asks for the modalities' contributions to the fused logits
    needs_fuse = False  # whether it asks for the fused logits of other features
    needs_heads = False  # whether the heads' losses are a part of it, so that its vanilla run is joint learning with it
    needs_optimizer = False  # whether it asks who steps though it has no factors
    held_out = 0.0  # share of the training set that is not trained on, for ``on_epoch``
    has_factors = False  # whether it multiplies what some parameters learn, those of ``parameters_by_modality``
    has_schedule = False  # whether what it does depends on the epoch, by ``self.at(epoch)``

    def __init__(self, network: Fusing, seed: int = 0, recipe: str = "paper") -> None:
        if self.needs_split and not network.splits:
            raise UserError(
                f"{self.name} needs a fusion whose logits split by modality (concat or sum), got "
                f"{type(network.fusion).__name__}; choose `fusion` concat, or another balancing method"
            )
        if self.of_two and len(network.heads) != 2:
            raise UserError(
                f"{self.name} is a rule for two modalities, and the network has {len(network.heads)}; choose another "
                f"balancing method"
            )
        if self.needs_fuse and not hasattr(network, "fuse"):
            raise UserError(
                f"{self.name} asks what the fusion makes of other features, and {type(network).__name__} cannot say; "
                f"choose another balancing method"
            )
        if self.needs_heads and not network.train_encoders_by_heads:
            raise UserError(
                f"{self.name} is a rule for the losses of the heads, and the heads of this {type(network).__name__} do "
                f"not train its encoders; make it with `train_encoders_by_heads` True"
            )
        self.network = network
        self.recipe = recipe
        self.label_smoothing = RELEASED_LABEL_SMOOTHING if recipe == "released" else 0.0
        self.scalings = {name: Scaling(group) for name, group in self.parameters_by_modality().items()}
        self.stretch, self.epochs = 1.0, None

    def parameters_by_modality(self) -> dict[str, list[nn.Parameter]]:
        """What ``self.scalings[modality].apply(factor)`` multiplies, in ``on_gradients``."""
        return {}

    def use_optimizer(self, optimizer: torch.optim.Optimizer, scale: str | None = None) -> None:
        """Say who steps, so that factors reach the parameters: by gradients alone, adaptive optimisers lose them.

        Args:
            optimizer: of the network's parameters.
            scale: "gradient" or "step", see :mod:`iemf.scaling`; None: what this optimiser needs.
        """
        scale = scale or default_scale(optimizer)
        self.scalings = {
            name: Scaling(group, scale, optimizer) for name, group in self.parameters_by_modality().items()
        }

    def use_epochs(self, epochs: int, meant: int) -> None:
        """Stretch the method's schedule, meant for runs of ``meant`` epochs, over one of ``epochs``."""
        self.stretch, self.epochs = meant / epochs, epochs

    def use_constant(self, value: float) -> None:
        """Another value, above 0, for the method's own constant.

        Raises:
            ValueError: the method has none.
        """
        if self.constant is None:
            raise ValueError(f"{self.name} has no constant of its own")
        self.constant = value

    def at(self, epoch: int) -> float:
        """The place in the method's own schedule, in epochs from 0, of an epoch of the run."""
        return epoch * self.stretch

    def loss(self, fused: Tensor, output: Readable, labels: Tensor, epoch: int) -> Tensor:
        """The loss of the fusion, 0-dim; the heads' own losses are the stage's affair.

        Args:
            fused: the task's loss of the fused logits, 0-dim: in most tasks their cross-entropy.
            output: of the network.
            labels: [B].
            epoch: from 0.
        """
        return fused

    def weighted(self, losses: dict[str, Tensor], epoch: int) -> dict[str, Tensor]:
        """The losses by name, "fused" and of each head, 0-dim, as they are summed; ``loss`` has seen the fused one."""
        return losses

    def before_backward(self, losses: Mapping[str, Tensor], scale: Callable[[Tensor], Tensor]) -> None:
        """Look at the losses while their graph is there.

        Args:
            losses: what ``weighted`` gave.
            scale: what a loss is multiplied with in mixed precision before it goes backward; else it does nothing.
        """

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of any logits of the run, the heads' included; the released code smooths the labels of all of them."""
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def on_gradients(self, output: Readable, labels: Tensor, epoch: int) -> None:
        """Change gradients in place, between backward (unscaled) and step."""

    def on_epoch(self, epoch: int, rows: TrainingRows) -> None:
        """Look at the training set before an epoch's steps."""

    def on_validation(self, accuracies: Accuracies, epoch: int) -> None:
        """Look at the validation accuracies of the epoch that has just ended."""

    def state_dict(self) -> dict:
        """What a resumed run needs; tensors, numbers, strings, lists and dicts of them."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""


METHODS: dict[str, type[Method]] = {}


def register(name: str, label: str) -> Callable[[type[Method]], type[Method]]:
    """Put a method into METHODS under ``name``; tables and pictures call it ``label``.

    Raises:
        ValueError: another class has this name.
    """

    def add(method: type[Method]) -> type[Method]:
        known = METHODS.get(name)
        # The same class once more is a module that was loaded anew, as in a notebook.
        if known is not None and (known.__module__, known.__qualname__) != (method.__module__, method.__qualname__):
            raise ValueError(f"there is a method {name!r} already: {known.__qualname__} of {known.__module__}")
        method.name, method.label = name, label
        METHODS[name] = method
        return method

    return add

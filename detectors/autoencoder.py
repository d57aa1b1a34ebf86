"""Autoencoder: a small network that repeats benign rows; what it repeats badly is unlike them."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .base import Detector, Exported, Floats, Labels, Rows, benign
from .onnx_graph import OPSET
from .standardiser import Standardiser


class Autoencoder(Detector):
    """Mean squared error between a standardised row and what a dense ReLU network makes of it.

    It trains in float32 and on one thread, and stops when the error on held-out benign rows no longer falls; it
    scores in float64.

    Parameters
    ----------
    hidden
        Widths of the encoder's layers, the last of them the bottleneck; the decoder mirrors them.
    epochs
        Most passes over the rows.
    patience
        Passes without a better held-out error before it stops.
    batch
        Rows a step.
    rate
        Learning rate of Adam.
    held_out
        Share of the benign rows that tells when to stop.
    clip, floor
        See :class:`detectors.standardiser.Standardiser`.
    columns, seed
        See :class:`detectors.base.Detector`.

    References
    ----------
    Sakurada, M., Yairi, T. (2014). Anomaly detection using autoencoders with nonlinear dimensionality reduction. MLSDA.
    """

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (48, 12),
        epochs: int = 150,
        patience: int = 15,
        batch: int = 128,
        rate: float = 2e-3,
        held_out: float = 0.15,
        clip: float = 10.0,
        floor: float = 1e-3,
        columns: Sequence[int],
        seed: int,
    ) -> None:
        super().__init__(columns=columns, seed=seed)
        self.hidden = [int(size) for size in hidden]
        self.epochs = epochs
        self.patience = patience
        self.batch = batch
        self.rate = rate
        self.held_out = held_out
        self.clip = clip
        self.floor = floor

    def _fit(self, X: Rows, y: Labels, weight: Floats) -> None:
        rows, weights = benign(X, y, weight)
        self._standardiser = Standardiser.fit(rows, weights, clip=self.clip, floor=self.floor)
        points = torch.from_numpy(self._standardiser(rows).astype(np.float32))
        shares = torch.from_numpy((weights / weights.mean()).astype(np.float32))
        with _reproducible(self.seed):
            self._network = self._train(points, shares).double()

    def _train(self, points: Tensor, shares: Tensor) -> nn.Sequential:
        sizes = [len(self.columns), *self.hidden, *self.hidden[-2::-1], len(self.columns)]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        network = nn.Sequential(*layers[:-1])
        order = torch.randperm(len(points))
        held = min(max(1, round(self.held_out * len(points))), len(points) - 1)
        judged, learned = order[:held], order[held:]
        optimiser = torch.optim.Adam(network.parameters(), lr=self.rate)
        best, best_state, waited = float("inf"), copy.deepcopy(network.state_dict()), 0
        for _ in range(self.epochs):
            for chosen in torch.split(learned[torch.randperm(len(learned))], self.batch):
                optimiser.zero_grad()
                _loss(network, points[chosen], shares[chosen]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            with torch.no_grad():
                error = float(_loss(network, points[judged], shares[judged]))
            if error < best:
                best, best_state, waited = error, copy.deepcopy(network.state_dict()), 0
            else:
                waited += 1
                if waited == self.patience:
                    break
        network.load_state_dict(best_state)
        return network

    def _score(self, X: Rows) -> Floats:
        points = self._standardiser(X)
        layers = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in self._linear()]
        # row by row: a matrix product of BLAS rounds a row differently with other rows beside it
        return np.asarray([_error(layers, point) for point in points], dtype=np.float64)

    def _linear(self) -> list[nn.Linear]:
        return [layer for layer in self._network if isinstance(layer, nn.Linear)]

    def _export(self) -> Exported:
        layers = self._linear()
        sizes = [layers[0].in_features, *(layer.out_features for layer in layers)]
        arrays: dict[str, NDArray[Any]] = dict(self._standardiser.arrays())
        for i, layer in enumerate(layers):
            arrays[f"weight{i}"] = layer.weight.detach().numpy().astype(np.float32)
            arrays[f"bias{i}"] = layer.bias.detach().numpy().astype(np.float32)
        return Exported({"kind": "dense-autoencoder", "clip": self.clip, "sizes": sizes}, arrays)

    def onnx(self) -> bytes:
        """Export by torch, standardisation and error included, in double."""
        with tempfile.TemporaryDirectory(prefix="safepickle-") as folder:
            path = Path(folder, "autoencoder.onnx")
            torch.onnx.export(
                _WithError(self._network, self._standardiser, self.columns).eval(),
                (torch.zeros(2, self._fitted_width()),),
                path,
                dynamo=False,
                input_names=["X"],
                output_names=["score"],
                dynamic_axes={"X": {0: "n"}, "score": {0: "n"}},
                opset_version=OPSET,
            )
            return path.read_bytes()


class _WithError(nn.Module):
    """Rows to errors: what `score` does around the network."""

    columns: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, network: nn.Sequential, standardiser: Standardiser, columns: list[int]) -> None:
        super().__init__()
        self.network = network
        self.clip = standardiser.clip
        self.register_buffer("columns", torch.tensor(columns))
        self.register_buffer("mean", torch.from_numpy(standardiser.mean))
        self.register_buffer("scale", torch.from_numpy(standardiser.scale))

    def forward(self, rows: Tensor) -> Tensor:
        chosen = rows.index_select(1, self.columns).double()
        points = ((chosen - self.mean) / self.scale).clamp(-self.clip, self.clip)
        repeated: Tensor = self.network(points)
        return (points - repeated).square().mean(dim=1)


def _error(layers: Sequence[tuple[Floats, Floats]], point: Floats) -> float:
    values = point
    for i, (weight, bias) in enumerate(layers):
        values = (weight * values).sum(axis=1) + bias
        if i < len(layers) - 1:
            values = np.maximum(values, 0.0)
    return float(np.square(point - values).mean())


def _loss(network: nn.Sequential, points: Tensor, shares: Tensor) -> Tensor:
    repeated: Tensor = network(points)
    return ((repeated - points).square().mean(dim=1) * shares).sum() / shares.sum()


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Seed torch and keep it on one thread, then put both back as they were."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

"""``TorchAnalyzer``: train a PyTorch model on every node; weights travel as NumPy arrays.

A subclass says what the model is, what the data is and what the loss is. What merges the weights
is a strategy, such as :class:`~flame_flwr.strategies.WeightedFedAvg`. Importing this module does
not import PyTorch: an analyzer does, when it trains.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from flame_flwr.star.nodes import StarAnalyzer
from flame_flwr.torch.checks import check_settings
from flame_flwr.torch.devices import AUTO
from flame_flwr.torch.personal import train_personal
from flame_flwr.torch.rounds import net_with, train_round
from flame_flwr.torch.samples import as_dataset
from flame_flwr.torch.seeding import seeded
from flame_flwr.torch.training import mean_scores
from flame_flwr.torch.weights import pytorch
from flame_flwr.training.checks import set_given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import torch
    from torch.utils.data import Dataset

    from flame_flwr.star.handle import FlameHandle
    from flame_flwr.torch.weights import Weights

__all__ = ["TorchAnalyzer"]

_DRAWN_ALIKE = frozenset({"model", "dataset", "test_dataset"})
"""What draws the same in every round, whoever calls it."""


class TorchAnalyzer(StarAnalyzer):
    """Trains a PyTorch model on the node's data, some epochs a round.

    A subclass writes :meth:`model`, :meth:`dataset` and :meth:`loss`, and where it needs them
    :meth:`optimizer`, or one of the methods that there are only where they are written:
    ``score(self, batch)``, ``test_dataset(self, data)`` and ``loader(self, dataset, generator)``,
    see the attributes. Each parameter may be a class attribute of a subclass instead.

    Parameters
    ----------
    flame : FlameHandle
        The framework's handle.
    epochs : int
        How often a round goes through the data; 1.
    batch_size : int
        Samples per step; 32.
    learning_rate : float
        Learning rate of the default optimiser; 1e-3.
    shuffle : bool
        Whether every epoch has an order of its own; true.
    seed : int
        Each call of :meth:`model`, :meth:`dataset` and `test_dataset` begins chance with it:
        first weights are the same on every node, and samples that are split by chance the same in
        every round. Round ``r``, from 1, shuffles and drops out with ``seed + r``. Chance is
        PyTorch's, NumPy's (``np.random.normal``) and that of ``random``, each as it was
        afterwards; ``np.random.default_rng()`` needs a seed of its own.
    keep_optimizer : bool
        Whether the optimiser goes on where it was in this node's last round; false: every round
        starts a new one.
    threads : int
        Threads of PyTorch, so that sums do not depend on the machine's cores; 1. 0: PyTorch's own
        choice.
    fedprox_mu : float
        How strongly training is drawn to the weights that it began with, as FedProx does; 0: not
        at all. The ``loss`` that is told is without the term.
    algorithm : {'fedavg', 'scaffold', 'fednova'}
        Which strategy it trains for: one that averages models, or
        :class:`~flame_flwr.strategies.Scaffold` or :class:`~flame_flwr.strategies.FedNova`. The
        latter two go plain gradient steps: :meth:`optimizer` returns SGD without momentum.
    device : str
        Where it trains: ``'auto'``, a graphics card where the node has one (CUDA), else the CPU; or
        ``'cpu'``, ``'cuda'``, ``'cuda:1'``. :meth:`loss` and `score` get batches there. Only
        on the CPU are numbers the same to the bit on every machine of a kind.

    Attributes
    ----------
    net : torch.nn.Module
        The model, while it is trained or scored: what :meth:`loss` and `score` call.
    latest_result : Any
        The last aggregate, as of every analyzer: what :meth:`model` and :meth:`dataset` may need.
    score : callable or None
        Where it is written, it returns numbers for a batch by name, such as its accuracy; means
        over its samples. Leave one out for a batch where it cannot be computed. Names that the base
        uses itself, such as ``model`` and ``loss``, and those that begin with ``test_``, are
        refused.
    test_dataset : callable or None
        Where it is written, it returns samples that are not trained with, on which every round
        scores what it gets, or ``None``. Chance begins as in :meth:`dataset`, so that both can make
        one split and return a part each.
    loader : callable or None
        Where it is written, it returns what makes batches of the samples that are trained with,
        anew in every epoch. It draws with the generator, for the order of the samples. Without it
        there is a ``DataLoader`` with ``batch_size`` and ``shuffle``.

    Raises
    ------
    ModelError
        A parameter is not what it must be.

    Notes
    -----
    A round returns a dict: ``model``, the weights, an array for every entry of the ``state_dict``;
    ``local_n_samples``; ``loss``, the mean over the samples of the last epoch; what `score`
    gives for the trained model on the node's samples; and with a `test_dataset` the same of
    the model as it was received, on that: ``n_test``, ``test_loss`` and others. Where the model has
    buffers, as of BatchNorm, ``buffers`` names them. That is what ``WeightedFedAvg`` takes. Losses
    and scores are reported as metrics, too: the round's line, ``history.csv`` and TensorBoard have
    them per node. In the first round, or where the aggregate has no ``model``, every node starts
    with the same drawn weights.

    Examples
    --------
    A line through the points of two nodes:

    >>> import numpy as np
    >>> import torch
    >>> from flame_flwr.aggregation import MaxRounds
    >>> from flame_flwr.star import StarModelTester
    >>> from flame_flwr.strategies import WeightedFedAvg
    >>> class Line(TorchAnalyzer):
    ...     epochs, learning_rate = 20, 0.1
    ...
    ...     def model(self):
    ...         return torch.nn.Linear(1, 1)
    ...
    ...     def dataset(self, data):
    ...         return data, 2 * data
    ...
    ...     def loss(self, batch):
    ...         x, y = batch
    ...         return torch.nn.functional.mse_loss(self.net(x), y)
    >>> points = np.linspace(0, 1, 32)[:, None]
    >>> strategy = WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(5))
    >>> tester = StarModelTester([points, -points], Line, strategy, "s3", quiet=True)
    >>> tester.result["model"]["weight"].round(1)
    array([[2.]], dtype=float32)
    """

    epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 1e-3
    shuffle: bool = True
    seed: int = 0
    keep_optimizer: bool = False
    threads: int = 1
    fedprox_mu: float = 0.0
    algorithm: str = "fedavg"
    device: str = AUTO

    score: Callable[[Any], Mapping[str, float]] | None = None
    test_dataset: Callable[[Any], Any] | None = None
    loader: Callable[[Any, torch.Generator], Any] | None = None

    net: torch.nn.Module

    _framework_calls = StarAnalyzer._framework_calls | {
        "analysis_method": {
            "dataset": ("data",),
            "test_dataset": ("data",),
            "model": (),
            "optimizer": ("parameters",),
            "loader": ("dataset", "generator"),
            "loss": ("batch",),
            "score": ("batch",),
        }
    }

    def __init__(
        self,
        flame: FlameHandle,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        shuffle: bool | None = None,
        seed: int | None = None,
        keep_optimizer: bool | None = None,
        threads: int | None = None,
        fedprox_mu: float | None = None,
        algorithm: str | None = None,
        device: str | None = None,
    ) -> None:
        super().__init__(flame)
        given = {
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "shuffle": shuffle,
            "seed": seed,
            "keep_optimizer": keep_optimizer,
            "threads": threads,
            "fedprox_mu": fedprox_mu,
            "algorithm": algorithm,
            "device": device,
        }
        set_given(self, given)
        check_settings(self)
        self._kept: dict[str, Any] | None = None
        self._control: dict[str, Any] | None = None

    if not TYPE_CHECKING:  # it would have every name pass as an attribute

        def __getattribute__(self, name: str) -> Any:
            """Seed what a study may call itself, too, as its evaluation does."""
            found = super().__getattribute__(name)
            is_drawn = name in _DRAWN_ALIKE and found is not None
            return seeded(self.seed)(found) if is_drawn else found

    # ---- to write ----------------------------------------------------------------------

    @abstractmethod
    def model(self) -> torch.nn.Module:
        """Return a new model, the same on every node; its weights are set afterwards.

        What it draws is the same at each call: see `seed`.
        """

    @abstractmethod
    def dataset(self, data: Any) -> Dataset[Any] | tuple[Any, ...]:
        """Return the node's samples: a dataset with a length, or a tuple of arrays or tensors.

        Floating numbers in a tuple, such as NumPy's float64, become of the type of the model's
        weights; a dataset is taken as it is. What is drawn here, such as by ``random_split``, is
        the same in every round: see `seed`.

        Parameters
        ----------
        data : Any
            The node's data, as ``analysis_method`` gets it.
        """

    @abstractmethod
    def loss(self, batch: Any) -> torch.Tensor:
        """Return the mean loss of :attr:`net` on a batch, a tensor with one number.

        Parameters
        ----------
        batch : Any
            What the loader gives: for a tuple of arrays, a list of tensors.
        """

    # ---- to override -------------------------------------------------------------------

    def optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimiser; by default Adam with ``learning_rate``, or SGD: see `algorithm`.

        One that calls the loss itself (a closure), such as LBFGS, is refused.
        """
        optim = pytorch().optim
        kind = optim.Adam if self.algorithm == "fedavg" else optim.SGD
        optimizer: torch.optim.Optimizer = kind(parameters, lr=self.learning_rate)
        return optimizer

    # ---- what the base does ------------------------------------------------------------

    def analysis_method(self, data: Any, aggregator_results: Any) -> dict[str, Any]:
        """Train from the aggregate's weights; see the class for what is returned.

        Raises
        ------
        DataError
            There are no samples, they do not fit the model, or the loss is not finite.
        ModelError
            The weights do not fit the model, a method returned what it must not, or PyTorch is
            not installed.
        """
        return train_round(self, data, aggregator_results)

    def evaluate(self, weights: Weights, dataset: Any) -> dict[str, float]:
        """Score weights on samples without training: for an ``evaluation_method`` of your own.

        Parameters
        ----------
        weights : mapping of str to ndarray
            Such as ``result["model"]``.
        dataset : Dataset or tuple of arrays
            The samples.

        Returns
        -------
        dict of str to float
            ``n``, how many samples; ``loss``; what `score` gives; means over the samples.
        """
        with net_with(self, weights):
            return mean_scores(self, as_dataset(dataset, "evaluate", self.net))

    # ---- helpers -----------------------------------------------------------------------

    def _held_back(self, data: Any) -> Any:
        return None if self.test_dataset is None else self.test_dataset(data)

    def _beside(self, *around: Any) -> dict[str, float]:
        """Train what the node keeps beside the common model, and return its scores; nothing."""
        return {}

    def _train_personal(self, *around: Any) -> tuple[Any, dict[str, dict[str, float]]]:
        return train_personal(self, *around)

    def _final_scorer(self, data: Any, result: Any) -> Callable[[Any], dict[str, float]]:
        """Return what scores a final model on this node's samples."""
        held_back = self._held_back(data)
        samples = self.dataset(data) if held_back is None else held_back
        return lambda model: self.evaluate(model, samples)

    def _used_with(self, result: Any) -> dict[str, Any]:
        """Return what a model must be kept with; nothing."""
        return {}

"""The page on PyTorch: its tables name what there is."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
PAGE = Path(__file__).parents[2] / "docs" / "torch.md"
if not PAGE.exists():
    pytest.skip("only in a checkout", allow_module_level=True)
TEXT = PAGE.read_text()

FEDBIOMED = """
    add_dependency add_preprocess after_training_params batch_maxnum dependencies dp_args dry_run
    epochs export_model fedprox_mu get_model_params get_model_wrapper_class import_model
    init_dependencies init_model init_optimizer initial_parameters loader_args log_interval model
    model_args num_updates optimizer optimizer_args post_init postprocess predict random_seed
    save_code send_to_device set_aggregator_args set_data_loaders set_dataset_path
    set_model_params set_optimizer share_persistent_buffers source test_metric test_metric_args
    test_on_global_updates test_on_local_updates test_ratio testing_routine testing_step
    training_args training_data training_routine training_step type update_optimizer_args use_gpu
"""


def test_everything_of_a_training_plan_has_a_row():
    """Methods of ``BaseTrainingPlan`` and ``TorchTrainingPlan``, and all training arguments."""
    rows = re.findall(r"^\| (.+?) \| .+ \|$", TEXT.split("## From Fed-BioMed")[1], re.M)
    named = {name for row in rows for name in re.findall(r"[`{\"](\w+)", row)}
    assert not set(FEDBIOMED.split()) - named


def test_the_trained_model_is_scored_too():
    import numpy as np
    import torch

    from flame_flwr.aggregation import MaxRounds
    from flame_flwr.star import StarModelTester
    from flame_flwr.strategies import WeightedFedAvg
    from flame_flwr.torch import TorchAnalyzer

    class Plan(TorchAnalyzer):
        def model(self):
            return torch.nn.Linear(1, 1)

        def dataset(self, data):
            return data[:6], 3 * data[:6]

        def test_dataset(self, data):
            return data[6:], 3 * data[6:]

        def loss(self, batch):
            return torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])

        def loader(self, dataset, generator):
            few = torch.utils.data.RandomSampler(dataset, num_samples=2, generator=generator)
            return torch.utils.data.DataLoader(dataset, sampler=few)

        def analysis_method(self, data, aggregator_results):
            result = super().analysis_method(data, aggregator_results)
            scores = self.evaluate(result["model"], self.test_dataset(data))
            return {**result, "after": scores["loss"]}

    data = np.arange(8, dtype=np.float32)[:, None]
    strategy = WeightedFedAvg(metrics=["after"], convergence=MaxRounds(1))
    result = StarModelTester([data], Plan, strategy, "s3").result
    slope, offset = result["model"]["weight"].item(), result["model"]["bias"].item()
    expected = np.mean((slope * data[6:] + offset - 3 * data[6:]) ** 2)
    assert result["after"] == pytest.approx(float(expected), rel=1e-5)

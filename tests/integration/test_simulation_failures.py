"""What Flower's real simulation runtime makes of failures: crashes, deaths, a node away."""

import pytest

pytestmark = pytest.mark.simulation


@pytest.mark.exhaustive
def test_a_failure_ends_readably_and_non_zero(run_app):
    """``tests/unit/cli/test_submit.py`` has what is said of a run that failed."""
    done = run_app(
        """
        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                if self.num_iterations == 1 and data == 2.0:
                    raise LookupError("no such column: pasc")
                return data
        """
    )
    assert not done.succeeded
    for text in (
        "node node-1 failed in round 2: LookupError at app.py:",
        "in analysis_method",
        "no such column: pasc",
        "on-failure",
    ):
        assert text in done.log
    assert done.run["status"] == "failed"
    assert done.run["files"] == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGSEGV)"])
def test_a_death_is_noticed_before_the_timeout(run_app, how):
    """``test_an_own_strategy_with_a_node_away`` has an interrupt."""
    done = run_app(
        f"""
        import os, signal
        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                if self.id == "node-1":
                    {how}
                return data
        """,
        round_timeout=10_000,
    )
    assert not done.succeeded
    assert "failed in round 1: crash: The actor is dead" in done.log


def test_an_own_strategy_with_a_node_away(run_app, tmp_path):
    """As a user would write it, in a package of its own: samples nodes, adds to the config.

    A run of its own, as it asks other nodes than the first app, and one of these fails.
    """
    for i in range(3):
        folder = tmp_path / f"hospital-{i}" / "deep"
        folder.mkdir(parents=True)
        (folder / "a b.csv").write_bytes(b"\x00" * i)
        (folder.parent / "z.csv").write_bytes(b"zz")
    done = run_app(
        """
        from dataclasses import dataclass

        from flame_flwr.payload import decode, encode, from_record, register_type, to_record
        from flame_flwr.strategies import StarStrategy

        @dataclass(frozen=True)
        class Found:
            sizes: dict

        register_type(Found, to=lambda found: found.sizes, restore=Found)

        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                if self.id == "node-1" and aggregator_results is not None:
                    raise KeyboardInterrupt("away for a round")
                [files] = data
                return Found({key: len(value) for key, value in files.items()})

        class Sampling(StarStrategy):
            def configure_train(self, server_round, arrays, config, grid):
                config["asked-in"] = server_round
                return list(super().configure_train(server_round, arrays, config, grid))[:2]

            def aggregate_train(self, server_round, replies):
                arrays, metrics = super().aggregate_train(server_round, replies)
                value = decode(from_record(arrays))
                return to_record(encode([*value, f"round {server_round}"])), metrics
        """,
        "StarModel(Analyzer, Sampling(Aggregator), 's3', simple_analysis=False)",
        data=f"{tmp_path}/hospital-{{partition-id}}",
        on_failure="skip",
        min_nodes=1,
    )
    assert done.succeeded, done.log
    expected = "[Found(sizes={'deep/a b.csv': 0, 'z.csv': 2}), 'round 2']"
    assert (done.folder / "result").read_text() == expected
    assert done.run["nodes"] == ["node-0", "node-1", "node-2"]
    [failure] = done.run["failures"]
    assert (failure["node"], failure["round"]) == ("node-1", 2)
    assert failure["why"].startswith("KeyboardInterrupt at app.py:")
    assert [sorted(entry["node_seconds"]) for entry in done.run["history"]] == [
        ["node-0", "node-1"],
        ["node-0"],
    ]

"""``flame-flwr run``: a FLAME script on the nodes' data, in this process or in a simulation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flame_flwr.errors import FlameError

__all__ = ["run"]

Script = Annotated[Path, typer.Argument(help="a FLAME script, as it is")]
Arguments = Annotated[
    list[str] | None, typer.Argument(help="the script's own, behind --", show_default=False)
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        help="what a node reads: a folder, module:function, s3://bucket/prefix or "
        "fhir+https://server/base, or several with ; between them; once per node, in order"
    ),
]
Nodes = Annotated[
    int | None,
    typer.Option(min=1, help="how many nodes, where one --data has {partition-id} in it"),
]
Results = Annotated[
    Path | None,
    typer.Option(
        help="folder for the result files; those of an earlier run are replaced, run.json too",
        show_default="results",
    ),
]
State = Annotated[
    Path | None,
    typer.Option(
        help="folder for what nodes keep across runs (save_intermediate_data)",
        show_default=".flame-flwr beside the results",
    ),
]
MaxRounds = Annotated[int, typer.Option(min=1, help="to wait for has_converged")]
Report = Annotated[
    str, typer.Option(help="report.html beside the results: on, off, or auto, if installed")
]
TensorBoard = Annotated[
    str, typer.Option(help="TensorBoard events beside the results: on, off, or auto")
]
Simulate = Annotated[
    bool,
    typer.Option("--simulate", help="in Flower's simulation runtime, in a folder of its own"),
]


def run(
    script: Script,
    arguments: Arguments = None,
    data: Data = None,
    nodes: Nodes = None,
    results: Results = None,
    state: State = None,
    max_rounds: MaxRounds = 1000,
    report: Report = "auto",
    tensorboard: TensorBoard = "auto",
    simulate: Simulate = False,
) -> None:
    """Run a FLAME script on the nodes' data: in this process, or in Flower's simulation."""
    from flame_flwr.cli.script_simulation import simulate_script
    from flame_flwr.failure.tracebacks import user_traceback
    from flame_flwr.script.options import script_path
    from flame_flwr.script.runner import run_script

    path = script_path(script)
    run_it = simulate_script if simulate else run_script
    try:
        run_it(
            path,
            data or [],
            nodes=nodes,
            results=results,
            state=state,
            max_rounds=max_rounds,
            report=report,
            tensorboard=tensorboard,
            arguments=arguments or [],
        )
    except FlameError:
        raise
    except Exception as error:
        # The script's own error is its author's to mend: shown as `python` would show it.
        typer.echo(user_traceback(error, str(path)), nl=False, err=True)
        raise typer.Exit(1) from None

"""The command that asks whether the test itself can be believed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lab.cli.group import app
from shared.ui.completion import pilots
from shared.ui.console import Json, emit, progress, session, table


@app.command()
def aa(
    context: typer.Context,
    pilot: Annotated[
        str | None,
        typer.Argument(
            help="A pilot whose control arm is split; without one, the latest snapshot's history.",
            autocompletion=pilots,
        ),
    ] = None,
    table_: Annotated[
        str | None, typer.Option("--table", help="The snapshot's table, where several hold a history of metrics.")
    ] = None,
    times: Annotated[int, typer.Option(min=100, max=100_000, help="How many splits.")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed splits alike.")] = 20_260_101,
    as_json: Json = False,
) -> Any:
    """Certify that the test keeps its error rate: split units whom nobody treated, and count the false alarms."""
    from lab.analysis.aa import certify

    progress(f"Splitting untreated units {times:,} times, from one scan …")
    done = certify(session(context).workspace(), pilot, table=table_, times=times, seed=seed, tell=progress)
    certificate, asked = done.certificate, done.certificate.asked
    rows = [
        (m.metric, f"{m.units:,}", _rate(m.rate), f"[{_rate(m.low)}, {_rate(m.high)}]" if m.low is not None else None,
         m.verdict, m.reason)
        for m in certificate.metrics
    ]  # fmt: skip
    source = f"control arm of {asked.source.name}" if pilot else f"table {asked.source.table}, {asked.source.name}"
    emit(
        as_json,
        {**certificate.as_json(), "certificate": certificate.digest, "page": str(done.page), "repeated": done.repeated},
        *(["The same was asked of the same data before; nothing was done."] if done.repeated else []),
        f"{source}: {asked.times:,} splits, {asked.treated_frac:.0%} treated, alpha {asked.alpha:g}",
        table("metric", "units", "false alarms", "interval", "verdict", "what was found", rows=rows),
        f"Page: {done.page}",
    )
    return done


def _rate(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2f} %"

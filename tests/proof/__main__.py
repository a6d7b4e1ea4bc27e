"""`make proof`: runs every long suite and writes its table to docs/proof/; exits 1 where one does not hold.

`python -m tests.proof NAME` runs one of them.
"""

import os
import sys
from pathlib import Path

from benchmarks.gate import headline
from tests.proof import (
    crash_storm,
    error_rates,
    forecast,
    long_tests,
    mutation,
    portfolio,
    priors,
    sandbox_matrix,
    sequential,
)

PAGES = Path(__file__).parent.parent.parent / "docs" / "proof"
SUITES = {
    "long-tests": long_tests.prove,
    "error-rates": error_rates.prove,
    "forecast": forecast.prove,
    "sequential": sequential.prove,
    "crash-storm": crash_storm.prove,
    "sandbox-matrix": sandbox_matrix.prove,
    "gate": headline.prove,
    "portfolio": portfolio.prove,
    "priors": priors.prove,
    "mutation": mutation.prove,
}


def main() -> None:
    PAGES.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in sys.argv[1:] or SUITES:
        prove = SUITES[name]
        sys.stderr.write(f"{name} …\n")
        page, holds = prove()
        (PAGES / f"{name}.md").write_text(page, encoding="utf-8")
        sys.stderr.write(page)
        if not holds:
            failed.append(name)
    if failed:
        sys.stderr.write(f"does not hold: {', '.join(failed)}\n")
    sys.stderr.flush()
    os._exit(bool(failed))  # before DuckDB's extension module prints pages of leak warnings


main()

"""Writes docs/failures.md from the answers that the tests approved; `--check` only says whether it is up to date."""

from __future__ import annotations

from pathlib import Path

import yaml
from generated import settle

FOLDER = Path(__file__).parent
CONDITIONS = {
    "full": "full disk",
    "read-only": "read-only mount",
    "damaged": "databases damaged",
    "emptied": "databases emptied",
}
HEAD = """# When the machine fails

What each command answers on a full disk, on a read-only mount, where all databases are damaged (all but the first
page of each is noise), and where they were emptied. `tests/journeys/test_failures.py` puts a workspace with a live
release into each of these states, on a disk of its own, and gives every command; the answers stand in
`docs/failures/`, and `make docs` makes this page of them.

- Nothing of this is called a defect, and only what is damaged is called so. Exit code 4: nothing can be said. Exit
  code 3: it can, and the answer is no. Exit code 2: the command needs something else first, as it would on a sound
  machine.
- What needs no room still answers on a full disk and on a read-only mount: a database that nobody has open is read as
  it lies.
- A database that was emptied, deleted or replaced is never begun anew: `var/ROOM/ledger.json` keeps the hash of the
  ledger's first entry. `pilotplant verify` reads every page of the databases, every block of the warehouse and every
  snapshot.

## Stopping

A run needs two files besides the database's word: `var/factory/permits/RELEASE`, and
`var/factory/permits/every.release` for all. `factory pause` and `factory stop-all` take these away first, which needs
no room and no database, and record it afterwards. Where it cannot be recorded they say so, with exit code 0: the stop
holds, and the next command that can write records it. `factory resume` writes the database first, and the file last.
What one of the two forbids is forbidden: a backup of the database from before a stop starts nothing.

On a read-only mount no file can be taken away, and no database written: `stop-all` says that nothing is stopped for
good (exit code 4). Nothing is sent there either, for a run has to write down what it is about to send. Give the
command again as soon as the disk can be written.

A run that was killed is put on record as failed by the next command of the Factory, or as done where its messages
were out already. What other commands left half done (`.scratch.*`) is removed by the next command.

## Answers
"""


def page() -> str:
    """The whole page."""
    answers = {name: yaml.safe_load((FOLDER / "failures" / f"{name}.yaml").read_text()) for name in CONDITIONS}
    commands = sorted(set().union(*answers.values()), key=list(answers["full"]).index)
    lines = ["", f"| command | {' | '.join(CONDITIONS.values())} |", f"|---|{'---|' * len(CONDITIONS)}"]
    lines += [
        f"| `{name}` | {' | '.join(_cell(answers[condition].get(name)) for condition in CONDITIONS)} |"
        for name in commands
    ]
    return HEAD + "\n".join(lines) + "\n"


def _cell(answer: str | None) -> str:
    return "–" if answer is None else answer.replace("|", "\\|")


settle(FOLDER / "failures.md", page(), "docs/failures.md is not what the tests approved")

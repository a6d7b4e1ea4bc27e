"""The errors that a user may meet, each with the exit code of the command that raised it.

PilotPlantError            1  a defect of ours, or of the machine below us
├── BadInput               2  what was given cannot be read as declared
├── Refused                3  understood, and the answer is no
│   ├── Contained          3  SQL or a template that the box refused or stopped
│   ├── TooLate            3  a promise after its time (shared/trust/register.py)
│   ├── Uncarried          3  a further attempt without what the ones before it spent (shared/experiment/line.py)
│   └── OutOfOrder         3  the clock is earlier than what was written already (shared/state/order.py)
└── Undecided              4  could not be evaluated, which never counts as yes
    └── Fault              4  the machine below us: a full disk, a read-only mount (shared/core/faults.py)
        └── Damaged        4  a file is there whose content is none
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """The four parts of an error."""

    what: str
    where: str | None
    expected: str | None
    remedy: str | None


class PilotPlantError(Exception):
    """The root: what happened, where, what was expected, and what to do next."""

    exit_code = 1

    def __init__(
        self, what: str, *, where: str | None = None, expected: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.remedy = remedy

    @property
    def told(self) -> Told:
        """What `--json` prints under `error`."""
        return Told(self.what, self.where, self.expected, self.remedy)

    @property
    def parts(self) -> list[str]:
        """What there is to say beyond what happened, each part with its word."""
        said = {"where": self.where, "expected": self.expected, "what to do": self.remedy}
        return [f"{word}: {text}" for word, text in said.items() if text]

    def __str__(self) -> str:
        """The parts that are there, one per line."""
        return "\n".join([self.what, *self.parts])


class BadInput(PilotPlantError):
    """What was given cannot be read as declared: a file, a name, an option."""

    exit_code = 2


class Refused(PilotPlantError):
    """Understood, and the answer is no: evidence, rules or a kill switch say so."""

    exit_code = 3


class Contained(Refused):
    """SQL or a template written in the Lab was refused, or stopped by the box it ran in."""


class Undecided(PilotPlantError):
    """Something could not be evaluated; that never counts as a yes."""

    exit_code = 4


class Fault(Undecided):
    """The machine below us does not do its part: no room, no right to write, no answer from the disk."""


class Damaged(Fault):
    """A file or a database is there, and its content is not what was written."""

"""The line of a pilot: what it continues by the gate's own register, and what error rate it has to carry for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.core.errors import Refused
from shared.experiment.charter import Charter

ROUNDING = 1e-12
Why = Literal["messages", "audience", "named"]
# Why a pilot continues an earlier one, in words.
BECAUSE: dict[Why, str] = {
    "messages": "its message is the same",
    "audience": "its audience and its primary metric are the same",
    "named": "its charter says so",
}


class Uncarried(Refused):
    """A promise that continues earlier pilots and does not carry the error rate that they have spent."""


@dataclass(frozen=True, slots=True)
class Before:
    """One earlier pilot of a line.

    Attributes:
        why: how it was told that this pilot continues it; None for one that is in the line by way of another.
        alpha: the error rate that it has spent: its plan's.
        tested_at: the error rate at which it was tested, by what it carried itself.
    """

    pilot: str
    why: Why | None
    alpha: float
    tested_at: float


@dataclass(frozen=True, slots=True)
class Line:
    """The pilots that one continues, in the order in which the gate took them in; none for most."""

    before: tuple[Before, ...] = ()

    @property
    def spent(self) -> float:
        """The error rates that they have used up."""
        return sum(each.alpha for each in self.before)

    @property
    def most(self) -> float | None:
        """The largest error rate at which the next one may be tested: half of the smallest before; None for the first.

        Otherwise a larger alpha of its own would give back what the line has spent.
        """
        return min(each.tested_at for each in self.before) / 2 if self.before else None

    @property
    def names(self) -> str:
        """The pilots, as a sentence names them."""
        return ", ".join(each.pilot for each in self.before)


def carried(charter: Charter) -> float:
    """The error rates of earlier pilots that a charter carries."""
    return charter.line.alpha_spent if charter.line else 0.0


def require_carried(line: Line, charter: Charter) -> None:
    """Raises Uncarried where a charter does not carry what its line has spent, with what would."""
    if not line.before:
        return
    told = next(each for each in reversed(line.before) if each.why is not None)
    where, why = f"pilots/{charter.pilot}/charter.yaml", BECAUSE[told.why or "named"]
    if carried(charter) < line.spent - ROUNDING:
        free = ", and `follows: {none: …}` does not change that" if charter.unrelated else ""
        raise Uncarried(
            f"{charter.pilot} is a further attempt at what {told.pilot} tried: {why}{free}. Its charter has to count "
            f"the alpha of the attempts before it ({line.names}: {line.spent:g} together), and counts "
            f"{carried(charter):g}",
            where=where,
            expected=f"follows: {{pilot: {told.pilot}, change: what is different, alpha_spent: {line.spent:.12g}}}",
            remedy="put that line into the charter, and say what is different. Whoever tries often enough finds "
            "something by chance, so each further attempt is tested at half the alpha, which takes more units; an "
            "idea of its own has another message, and another audience or goal",
        )
    if line.most is not None and charter.alpha > line.most * (1 + ROUNDING):
        raise Uncarried(
            f"{charter.pilot} is a further attempt at what {line.names} tried, and would be tested at an alpha of "
            f"{charter.alpha:g}",
            where=where,
            expected=f"at most {line.most:g}, half of the smallest alpha before it",
            remedy="lower `sample.alpha`: a larger one would give back what the line has spent",
        )

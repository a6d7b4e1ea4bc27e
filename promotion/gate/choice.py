"""Choice: of several arms that could be scaled, which is shown to be the better one."""

from __future__ import annotations

from collections.abc import Collection

from promotion.gate.blinding import hidden
from promotion.gate.case import Case
from promotion.gate.policy import read_settings
from shared.evidence.model import Between
from shared.ui import phrases


def admitted_pairs(case: Case, admitted: Collection[str]) -> list[Between]:
    """Every two of the admitted arms beside each other, in each primary metric; nothing while results are hidden."""
    if len(admitted) < 2 or hidden(case, read_settings(case.room.workspace)):  # noqa: PLR2004 - a pair
        return []
    return [one for one in case.evidence.between if {one.arm, one.other} <= set(admitted)]


def choice(case: Case, admitted: Collection[str]) -> list[str]:
    """The same in words, for whoever has to choose; nothing where there is nothing to choose from."""
    told = [phrases.between(case.promise.metrics[one.metric], one) for one in admitted_pairs(case, admitted)]
    if told and case.charter.sample.looks.method != "fixed":
        told.append("Arms are compared with each other by intervals for one look, whatever the charter agreed on.")
    return told

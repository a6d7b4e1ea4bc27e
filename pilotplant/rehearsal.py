"""A rehearsal's keys: made, enrolled and trusted at once, for nothing that they sign counts anywhere else."""

from __future__ import annotations

from factory.releases.enrolment import enrol_factory
from factory.releases.trust import trust
from promotion.keys.enrolment import enrol
from promotion.registry.receipts import sign_waiting
from promotion.state import open_promotion
from shared.experiment.people import read_people
from shared.state.workspace import Workspace
from shared.trust.keys import FACTORY, GATE


def make_keys(workspace: Workspace) -> tuple[str, ...]:
    """Whose keys a rehearsal has from the start: the gate's, those of all who decide, and the Factory's.

    Each is enrolled with the gate and trusted by the Factory, and counts whatever the clock is set to. What is done
    already is left as it is. A live workspace never does this: there each key is somebody's own act.
    """
    signers = (GATE, *(person.email for person in read_people(workspace).people if person.decides is not None))
    for name in signers:
        enrol(workspace, name, undated=True)
        trust(workspace, name)
    sign_waiting(open_promotion(workspace))
    enrol_factory(workspace)
    enrol(workspace, FACTORY, undated=True)
    return (*signers, FACTORY)

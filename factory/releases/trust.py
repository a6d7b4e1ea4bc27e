"""Trust: which public keys this Factory believes, one file each in `configs/trusted_keys/`."""

from __future__ import annotations

from shared.core.errors import BadInput, Refused
from shared.experiment.people import same_person
from shared.state.workspace import Workspace
from shared.trust.keys import PublicKey, read_public, record_name, write_public


def trust(workspace: Workspace, name: str, *, replace: bool = False) -> tuple[PublicKey, bool]:
    """Pins the enrolled key of `name`; returns it, and whether anything was pinned now.

    A key that the gate has rotated is pinned still, with the moment at which it ended: what it signed before counts.
    Raises BadInput where nobody of that name is enrolled, Refused for a key of the other mode or a revoked one, for one
    that is pinned under another name, and for another key than the one pinned already, unless the gate has recorded
    that it took that one's place, or `replace` says so.
    """
    current, ended = _enrolled(workspace, name)
    name = current.name
    current.verifier()
    if current.mode != workspace.mode:
        raise Refused(
            f"the key of {name} was made in a {current.mode} workspace",
            expected=f"a key made in a {workspace.mode} one",
            remedy=f"enrol {name} here with `pilotplant promote enrol {name}`",
        )
    folder = workspace.configs / "trusted_keys"
    trusted = read_public(folder)
    # One passkey has another id for each site that it is enrolled for.
    namesake = next((key for key in trusted if key.public == current.public and key.name != name), None)
    if namesake is not None:
        raise Refused(
            f"the key enrolled for {name} is trusted already as the one of {namesake.name}: {current.key_id}",
            where=str(folder / f"{namesake.name}.yaml"),
            expected="a key of their own for the gate and for each owner",
            remedy=f"have {name} enrol another key with `pilotplant promote enrol {name}`",
        )
    pinned = {key.key_id: key for key in trusted if key.name == name}
    followed = {current.key_id, *(key.key_id for key in ended)}
    if not replace and (foreign := next((key_id for key_id in pinned if key_id not in followed), None)):
        raise Refused(
            f"another key of {name} is trusted already: {foreign}",
            where=str(folder / f"{name}.yaml"),
            expected=f"the same as the one enrolled now: {current.key_id}",
            remedy=f"ask {name} in person whether the key changed, then repeat with --replace",
        )
    if current.revoked_since is not None and current.key_id not in pinned:
        raise Refused(
            f"the key of {name} is revoked since {current.revoked_since}",
            where=f"key {current.key_id}",
            expected="a key that counts now",
            remedy=f"have {name} enrol another one: pilotplant promote enrol {name} --rotate",
        )
    # Of keys that have ended only those are kept that were trusted here before: nothing is trusted in passing.
    kept = {record_name(key): key for key in ended if key.key_id in pinned}
    wanted = kept | {name: current}
    fresh = [stem for stem, key in wanted.items() if pinned.get(key.key_id) != key]
    for stem in fresh:
        write_public(folder, wanted[stem], stem=stem)
    for key in pinned.values():
        if key.key_id not in {one.key_id for one in wanted.values()}:
            (folder / f"{record_name(key)}.yaml").unlink(missing_ok=True)
    return current, bool(fresh)


def published_keys(workspace: Workspace) -> list[PublicKey]:
    """The records that the gate publishes, where this machine can see them; raises BadInput for one that is damaged."""
    return read_public(workspace.promotion / "keys")


def _enrolled(workspace: Workspace, name: str) -> tuple[PublicKey, list[PublicKey]]:
    """The key of a name, and those whose place it took."""
    held = published_keys(workspace)
    known = sorted({key.name for key in held})
    named = [key for key in held if same_person(key.name, name)]
    current = [key for key in named if key.ends is None]
    if len(current) != 1:
        raise BadInput(
            f"no key of {name} is enrolled",
            where=str(workspace.promotion / "keys"),
            expected="one of: " + (", ".join(known) or "(none yet)"),
            remedy=f"make one with `pilotplant promote enrol {name}`",
        )
    return current[0], [key for key in named if key.ends is not None]

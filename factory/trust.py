"""Trust: which public keys this Factory believes, one file each in `configs/trusted_keys/`."""

from __future__ import annotations

from shared.errors import BadInput, Refused
from shared.keys import PublicKey, read_public, write_public
from shared.workspace import Workspace


def trust(workspace: Workspace, name: str, *, replace: bool = False) -> tuple[PublicKey, bool]:
    """Pins the enrolled key of `name`; returns it, and whether it was pinned now.

    Raises BadInput where nobody of that name is enrolled, Refused for a key of the other mode, for one that is
    pinned under another name, and for another key than the one pinned already unless `replace` says so.
    """
    enrolled = _enrolled(workspace, name)
    enrolled.verifier()
    if enrolled.mode != workspace.mode:
        raise Refused(
            f"the key of {name} was made in a {enrolled.mode} workspace",
            expected=f"a key made in a {workspace.mode} one",
            remedy=f"enrol {name} here with `pilotplant promote enrol {name}`",
        )
    folder = workspace.configs / "trusted_keys"
    trusted = read_public(folder)
    namesake = next((key for key in trusted if key.key_id == enrolled.key_id and key.name != name), None)
    if namesake is not None:
        raise Refused(
            f"the key enrolled for {name} is trusted already as the one of {namesake.name}: {enrolled.key_id}",
            where=str(folder / f"{namesake.name}.yaml"),
            expected="a key of their own for the gate and for each owner",
            remedy=f"have {name} enrol another key with `pilotplant promote enrol {name}`",
        )
    pinned = next((key for key in trusted if key.name == name), None)
    if pinned == enrolled:
        return enrolled, False
    if pinned is not None and not replace:
        raise Refused(
            f"another key of {name} is trusted already: {pinned.key_id}",
            where=str(folder / f"{name}.yaml"),
            expected=f"the same as the one enrolled now: {enrolled.key_id}",
            remedy=f"ask {name} in person whether the key changed, then repeat with --replace",
        )
    write_public(folder, enrolled)
    return enrolled, True


def _enrolled(workspace: Workspace, name: str) -> PublicKey:
    folder = workspace.promotion / "keys"
    keys = {key.name: key for key in read_public(folder)}
    if name not in keys:
        raise BadInput(
            f"no key of {name} is enrolled",
            where=str(folder),
            expected="one of: " + (", ".join(keys) or "(none yet)"),
            remedy=f"make one with `pilotplant promote enrol {name}`",
        )
    return keys[name]

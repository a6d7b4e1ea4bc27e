"""Verifying from outside: an exported pilot, believed by its files and the given public keys alone, on any machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from promotion.audit.checkpoint import Checkpoint, distrust, parse_checkpoint
from promotion.audit.excerpt import Excerpt, read_excerpt
from promotion.audit.export import LEDGER, PACKAGE, RECEIPTS
from promotion.audit.verification import NOT_WITNESSED
from promotion.gate.checks.effects.evidence_recomputed import differing_numbers
from promotion.keys.keyring import Keyring, ring_of
from promotion.registry.nonces import registrations
from promotion.registry.receipts import receipt_doubts
from shared.core.clock import Clock, parse_rfc3339
from shared.core.digests import hex_of, short
from shared.core.errors import BadInput, PilotPlantError
from shared.core.yamlfile import read_yaml
from shared.experiment.draw import Draw
from shared.state.chain import Head
from shared.trust import package as packages
from shared.trust.attestation import Attestation
from shared.trust.keys import PublicKey, record_bytes
from shared.trust.package import Package
from shared.ui import phrases


@dataclass(slots=True)
class Outside:
    """What was verified, what is wrong, and what these files cannot show, each in a sentence."""

    verified: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)


def verify_outside(folder: Path, keys: Path, *, checkpoint: Path | None = None, recompute: bool = False) -> Outside:
    """Verifies an export, or a bare package, by exactly the keys in a folder; no workspace is asked.

    With `recompute` the evidence is computed again from the sealed data. Raises BadInput where a folder is none.
    """
    place = folder / PACKAGE if (folder / PACKAGE).is_dir() else folder
    if not place.is_dir() or not any(place.iterdir()):
        raise BadInput(
            "there is no package", where=str(place), expected="a folder with candidate/ and attestation.json"
        )
    result = Outside()
    given = _keys(keys, result)
    package = packages.open_package(place)
    result.problems += package.reasons
    excerpt = _excerpt(folder / LEDGER, package, result)
    witness = _checkpoint(checkpoint, package, given, excerpt, result)
    if excerpt is not None:
        _hold_keys(given, excerpt, result)
    _drawn(folder / RECEIPTS, package, given, excerpt, result)
    if package.attestation is not None:
        _attested(package, package.attestation, given, _witnessed(excerpt, witness), result)
    if package.candidate is not None and not package.reasons:
        count = len(package.candidate.manifest.files) + 1
        result.verified.append(
            f"candidate {short(package.candidate.digest)}: {count} files, each to the byte as sealed"
        )
        _recomputed(package, result, asked=recompute)
        if recompute:
            _arms(package, result)
    _limits(package, given, excerpt, witness, result)
    return result


def _keys(folder: Path, result: Outside) -> dict[str, PublicKey]:
    """The given keys by their file; one that is damaged counts for nothing, and is named."""
    paths = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not paths:
        raise BadInput("there are no public keys", where=str(folder), expected="a folder with NAME.yaml for each key")
    found = {}
    for path in paths:
        try:
            key = read_yaml(path, PublicKey)
            key.verifier()
            sound = path.read_bytes() == record_bytes(key)
        except (PilotPlantError, ValueError, OSError) as error:
            told = error.what if isinstance(error, PilotPlantError) else str(error)
            result.problems.append(f"key {path.name}: it cannot be read ({told})")
            continue
        if sound:
            found[path.name] = key
        else:
            result.problems.append(f"key {path.name}: it is not as `promote enrol` writes it")
    return found


def _excerpt(path: Path, package: Package, result: Outside) -> Excerpt | None:
    """The ledger's excerpt, where it is whole and of this very decision."""
    if not path.exists():
        return None
    try:
        found = read_excerpt(path)
    except BadInput as error:
        result.problems.append(f"{path.name}: {error.what}")
        return None
    problems = found.problems()
    if package.attestation is not None:
        problems = found.problems(_seen(package.attestation)) + _against_excerpt(package.attestation, found)
    result.problems += problems
    return None if problems else found


def _seen(attestation: Attestation) -> list[tuple[Head, str]]:
    try:
        head = attestation.predicate.ledgers["promotion"]
        return [(Head(int(head["seq"]), str(head["hash"])), "the attestation")]
    except (KeyError, TypeError, ValueError):
        return []


def _against_excerpt(attestation: Attestation, excerpt: Excerpt) -> list[str]:
    said, entry = attestation.predicate, excerpt.decided()
    problems = []
    if (excerpt.workspace, excerpt.mode, excerpt.pilot) != (said.workspace, said.mode, said.pilot):
        problems.append("ledger.json: it is of another workspace or pilot")
    if entry is None:
        return [*problems, f"ledger.json: it holds no decision on {said.pilot}"]
    told = (entry.body.get("candidate"), entry.body.get("attestation"), entry.body.get("decision"))
    if told != (attestation.candidate, attestation.digest, said.decision.model_dump(mode="json")):
        problems.append(f"ledger.json: entry {entry.seq} is of another decision than the attestation")
    return problems


def _checkpoint(
    path: Path | None, package: Package, given: dict[str, PublicKey], excerpt: Excerpt | None, result: Outside
) -> Checkpoint | None:
    """The checkpoint, where a key of the gate signed it that counted then, and the ledger goes on from there."""
    if path is None:
        return None
    try:
        found, signed = parse_checkpoint(path)
    except BadInput as error:
        result.problems.append(f"{path.name}: {error.what}")
        return None
    entries = excerpt.shown() if excerpt else []
    problems = distrust(found, signed, list(given.values()), entries)
    said = package.attestation.predicate if package.attestation else None
    if said is not None and (found.workspace, found.mode) != (said.workspace, said.mode):
        problems.append("it is of another workspace")
    head = found.ledgers.get("promotion")
    if excerpt is not None and head is not None:
        problems += excerpt.problems([(Head(head.seq, head.hash), f"the checkpoint of {found.at}")])
    result.problems += [f"{path.name}: {problem}" for problem in problems]
    return None if problems or head is None else found


def _witnessed(excerpt: Excerpt | None, witness: Checkpoint | None) -> datetime | None:
    """When the decision is known to have been recorded: by a ledger's own word only where a checkpoint covers it."""
    entry = excerpt.decided() if excerpt else None
    if entry is None or witness is None or entry.seq > witness.ledgers["promotion"].seq:
        return None
    return parse_rfc3339(entry.at)


def _hold_keys(given: dict[str, PublicKey], excerpt: Excerpt, result: Outside) -> None:
    """Each given key must be what the ledger enrolled; only an end or a revocation may have come since."""
    ring: Keyring = ring_of(excerpt.shown(), excerpt.mode)
    enrolled = {key.key_id: key for key in ring.every()}
    for name, key in given.items():
        told = enrolled.get(key.key_id)
        if told is None:
            result.problems.append(f"key {name}: the ledger shows no such key of {key.name}")
            continue
        since = {part: getattr(key, part) for part in ("ends", "revoked_since") if getattr(told, part) is None}
        if told.model_copy(update=since) != key:
            result.problems.append(f"key {name}: it is not as the ledger enrolled it")


def _attested(
    package: Package,
    attestation: Attestation,
    given: dict[str, PublicKey],
    witnessed: datetime | None,
    result: Outside,
) -> None:
    said, keys = attestation.predicate, list(given.values())
    try:
        # One that has expired since is still a true record: it is judged as of its own time.
        at = parse_rfc3339(said.time_verified)
        reasons = packages.distrust(package, keys, now=at, witnessed=witnessed)
    except ValueError:
        reasons = [f"its time cannot be read: {said.time_verified}"]
    known = {key.key_id for key in keys}
    unknown = sorted(set(attestation.envelope.signatures) - known)
    reasons += [f"it is signed with key {key_id[:12]} as well, which is not among those given" for key_id in unknown]
    result.problems += [f"attestation: {reason}" for reason in reasons]
    if reasons or package.reasons:
        return
    decision = said.decision
    persons = ", ".join(attestation.persons(keys))
    word = f"{decision.word} {decision.arm or ''}".rstrip() + (f" as {decision.release}" if decision.release else "")
    result.verified += [
        f"attestation {short(attestation.digest)}: {word} on {said.pilot}, verdict {said.verdict}, over this candidate",
        f"signed by the gate and by {persons}, with keys that counted at {said.time_verified}; persons needed by the"
        f" gate's policy: {said.signatures_required}",
        f"its promise {short(said.promise)} is the one that was attested, with every file that it names",
    ]
    for key in attestation.signed_by(keys):
        if key.passkey is not None:
            pages = " or ".join(key.passkey.origins)
            result.verified.append(
                f"passkey of {key.name}: it answered to this very statement, on {pages}, its owner verified"
            )
            result.unverified.append(
                f"what the page showed when it was signed: ask {key.name} whether they decided this"
            )
    over = Clock().now() >= parse_rfc3339(said.expires)
    result.verified.append(
        f"it expired at {said.expires}, and no Factory runs it any more"
        if over
        else f"it expires at {said.expires}; from then on no Factory runs it"
    )


def _drawn(
    folder: Path, package: Package, given: dict[str, PublicKey], excerpt: Excerpt | None, result: Outside
) -> None:
    """The gate's receipts: each as the ledger has it, and the candidate drawn by their nonce."""
    promise, candidate = package.promise, package.candidate
    if promise is None or candidate is None or promise.rules == 1:
        return
    try:
        sealed = candidate.registration()
    except BadInput as error:
        result.problems.append(f"candidate/registration.json: {error.what}")
        return
    path = folder / f"{hex_of(sealed.promise)}.json"
    if not path.exists():
        result.unverified.append("whether the gate drew the arms by the nonce that the candidate names: no receipt")
        return
    told = {path: sealed}
    if excerpt is not None:
        said = registrations(excerpt.shown(), excerpt.workspace, excerpt.mode)
        told |= {folder / f"{hex_of(one.promise)}.json": one for one in said}
        if sealed not in said:
            result.problems.append("candidate/registration.json: the ledger has no such registration")
    missing = [f"{one.name}: it is missing" for one in told if not one.exists()]
    missing += [f"{one.name}: the ledger has no such registration" for one in folder.glob("*.json") if one not in told]
    wrong = [
        f"{one.name}: {reason}"
        for one, facts in told.items()
        if one.exists()
        for reason in receipt_doubts(one, facts, list(given.values()))
    ]
    result.problems += [f"receipts/{problem}" for problem in missing + wrong]
    if not missing + wrong:
        result.verified.append(
            f"receipt {path.stem[:12]}: the gate took in {sealed.pilot} at {sealed.at}, nonce {sealed.nonce}"
        )


def _arms(package: Package, result: Outside) -> None:
    """Every exposure's arm, drawn again by the candidate's nonce."""
    from shared.engines.duckdb import DuckDB

    candidate, promise = package.candidate, package.promise
    if candidate is None or promise is None or promise.charter.assignment == "source":
        return
    try:
        nonce = None if promise.rules == 1 else candidate.registration().nonce
        draw = Draw.of(promise, candidate.manifest.workspace, nonce)
        placed = DuckDB().place(candidate.data, draw, promise.charter)
    except (PilotPlantError, ValueError, OSError) as error:
        result.problems.append(f"exposures.parquet: its arms cannot be drawn again ({error})")
        return
    wrong = (placed.misassigned or 0) + sum(placed.outside.values())
    if wrong:
        result.problems.append(f"exposures.parquet: {wrong:,} exposures are not of the arm that was drawn")
    else:
        result.verified.append("arms: drawn again, and every exposure has the arm that was drawn")


def _recomputed(package: Package, result: Outside, *, asked: bool) -> None:
    """The evidence, computed again from the sealed data."""
    from shared.evidence.compute import compute

    if not asked:
        result.unverified.append("whether the evidence follows from the sealed data: add --recompute")
        return
    candidate, promise = package.candidate, package.promise
    if candidate is None or promise is None:
        return
    try:
        own = compute(promise, candidate.data, parse_rfc3339(candidate.manifest.covers_until))
        found = differing_numbers(candidate.evidence(), own)
    except (PilotPlantError, ValueError, OSError) as error:
        result.problems.append(f"evidence.json: it cannot be computed again ({error})")
        return
    if found:
        result.problems.append(f"evidence.json: it does not follow from the sealed data: {phrases.first_of(found)}")
    else:
        result.verified.append("evidence: computed again from the sealed data, with the same numbers")


def _limits(
    package: Package,
    given: dict[str, PublicKey],
    excerpt: Excerpt | None,
    witness: Checkpoint | None,
    result: Outside,
) -> None:
    """What these files cannot show, and how it can be found out."""
    ids = "; ".join(f"{key.name} {key.key_id}" for key in given.values())
    result.unverified.append(f"that each key is the one of its name: ask each of them for their key's id ({ids})")
    if excerpt is None:
        result.unverified += [
            "when the decision was recorded, and the dates of the keys: there is no ledger.json that can be believed",
            "whether a key has been revoked: ask whoever gave you the keys",
        ]
    else:
        last, entry = excerpt.entries[-1], excerpt.decided()
        place = f"; the decision is entry {entry.seq}, of {entry.at}" if entry else ""
        chain = f"ledger: {len(excerpt.entries)} entries, one unbroken chain{place}"
        result.verified.append(f"{chain}; {_completeness(witness)}")
        result.unverified.append(f"whether a key has been revoked since {last.at}: ask whoever gave you the keys")
    if witness is None:
        result.unverified.append("whether the ledger is complete: name a checkpoint that you were given, --checkpoint")
    if package.candidate is not None:
        result.unverified.append("whether the sealed data are true to life: they are what the Lab had recorded")


def _completeness(witness: Checkpoint | None) -> str:
    if witness is None:
        return NOT_WITNESSED
    return f"complete up to entry {witness.ledgers['promotion'].seq}, as the checkpoint of {witness.at} witnesses"

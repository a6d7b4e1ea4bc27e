"""A candidate: the sealed bundle the Lab submits; its digest stands for every byte in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import Field, field_validator

from shared.core.digests import canonical, digest_file, digest_json
from shared.core.errors import BadInput
from shared.core.files import write_atomically
from shared.core.frozen import FrozenModel
from shared.core.money import Money
from shared.evidence.model import Evidence
from shared.experiment.charter import Promise
from shared.state.workspace import Mode
from shared.trust.aa_certificate import AaCertificate
from shared.trust.excerpt import Excerpt
from shared.trust.registration import Registration

if TYPE_CHECKING:
    from shared.engines.protocol import PilotData

Content = TypeVar("Content")

MANIFEST = "manifest.json"
PROMISE = "promise.json"
EVIDENCE = "evidence.json"
AMENDMENTS = "amendments.json"
REGISTRATION = "registration.json"
SPEND = "spend.json"
MLFLOW_RUN = "mlflow_run.json"
LEDGER = "ledger.json"
AA = "aa.json"
DATA = "data"
FILES = "files"


class Manifest(FrozenModel):
    """What a candidate consists of.

    Attributes:
        workspace, mode: where it was sealed; a rehearsal's candidate stays one.
        pilot, promise: the pilot and its promise's digest.
        requester: who asks.
        covers_until: the first moment whose data is not in it: the time box's end, or an earlier one.
        ledger: the Lab's ledger when the pilot was last written to it (seq and hash), as witness.
        files: every other file, by its path inside, with digest.
    """

    schema_version: Literal[1] = 1
    workspace: str
    mode: Mode
    pilot: str
    promise: str
    requester: str
    covers_until: str
    ledger: dict[str, Any]
    files: dict[str, str] = Field(min_length=1)

    @property
    def digest(self) -> str:
        """The candidate's digest: SHA-256 of the manifest in RFC 8785 form."""
        return digest_json(self.model_dump(mode="json"))


class SpendEntry(FrozenModel):
    """One cost of a pilot."""

    id: str
    at: str
    money: Money
    purpose: str

    @field_validator("money")
    @classmethod
    def _is_a_cost(cls, money: Money) -> Money:
        if money.amount <= 0:
            raise ValueError("a cost is above zero")
        return money


class Spend(FrozenModel):
    """Every cost of a pilot."""

    schema_version: Literal[1] = 1
    entries: tuple[SpendEntry, ...]

    def total(self, currency: str) -> Money:
        """The sum, in the budget's currency."""
        return sum((entry.money for entry in self.entries), Money(amount=0, currency=currency))


class Earlier(FrozenModel):
    """The versions of the promise before the one in force, the launched one first; each names its reason."""

    schema_version: Literal[1] = 1
    versions: tuple[dict[str, Any], ...] = Field(min_length=1)

    @classmethod
    def of(cls, promises: Iterable[Promise]) -> Earlier:
        """Promises as candidates carry them in `amendments.json`, each with the content that it was stored with."""
        return cls(versions=tuple(promise.as_json() for promise in promises))

    @staticmethod
    def stored(content: bytes) -> tuple[Promise, ...]:
        """The promises in such a file; raises ValueError where it holds anything else."""
        return tuple(Promise.stored(canonical(one)) for one in Earlier.model_validate_json(content).versions)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate on disk whose manifest could be read; call `tampered` before believing its files."""

    folder: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """The digest that its manifest has now."""
        return self.manifest.digest

    @property
    def data(self) -> PilotData:
        """The sealed exposures, outcomes and conflicts, and the units' traits where the charter names any."""
        from shared.engines.protocol import PilotData  # DuckDB is not for those who only look at costs

        return PilotData.in_folder(self.folder / DATA)

    def promise(self) -> Promise:
        """The frozen charter with what it refers to, in the version in force."""
        return self._read(PROMISE, Promise.stored)

    def earlier(self) -> tuple[Promise, ...]:
        """The versions of the promise before that one; none where it was never amended."""
        return self._read(AMENDMENTS, Earlier.stored) if AMENDMENTS in self.manifest.files else ()

    def registration(self) -> Registration:
        """What the gate told the Lab at the launch, the nonce among it; none under the first rules."""
        return self._read(REGISTRATION, Registration.model_validate_json)

    def evidence(self) -> Evidence:
        """The evidence as submitted."""
        return self._read(EVIDENCE, Evidence.model_validate_json)

    def spend(self) -> Spend:
        """The costs as submitted."""
        return self._read(SPEND, Spend.model_validate_json)

    def excerpt(self) -> Excerpt:
        """The Lab's chain from where the gate first heard of the pilot to the manifest's head."""
        return self._read(LEDGER, Excerpt.model_validate_json)

    def certificate(self) -> AaCertificate | None:
        """The A/A certificate, where the Lab had one that covers the pilot."""
        return self._read(AA, AaCertificate.model_validate_json) if AA in self.manifest.files else None

    def file(self, name: str) -> Path:
        """A file that the charter names: SQL, template or contract."""
        return self.folder / FILES / name

    def tampered(self, expected: str | None = None) -> list[str]:
        """What differs from the manifest (and the manifest from `expected`), by file; empty where nothing does."""
        found = []
        if expected is not None and self.digest != expected:
            found.append(f"{MANIFEST}: its digest is {self.digest}, not {expected}")
        if (self.folder / MANIFEST).read_bytes() != canonical(self.manifest.model_dump(mode="json")):
            found.append(f"{MANIFEST}: not in canonical form")
        present = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if _is_content(path)}
        for name, digest in sorted(self.manifest.files.items()):
            if name not in present:
                found.append(f"{name}: missing")
            elif digest_file(self.folder / name) != digest:
                found.append(f"{name}: changed after it was sealed")
        found += [f"{name}: not part of what was sealed" for name in sorted(present - {MANIFEST, *self.manifest.files})]
        return found

    def _read(self, name: str, parse: Callable[[bytes], Content]) -> Content:
        path = self.folder / name
        try:
            return parse(path.read_bytes())
        except (OSError, ValueError) as error:
            raise BadInput(
                f"`{name}` of the candidate cannot be read", where=str(path), remedy="submit the pilot again"
            ) from error


def _is_content(path: Path) -> bool:
    # A link to a folder is a folder as well, and none of ours.
    return path.is_symlink() or not path.is_dir()


def open_candidate(folder: Path) -> Candidate:
    """The candidate in a folder; raises BadInput where its manifest cannot be read."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        # A number that canonical JSON has no form for leaves the candidate without a digest.
        _ = manifest.digest
    except (OSError, ValueError) as error:
        raise BadInput(
            "this is not a candidate, or its manifest was damaged",
            where=str(folder / MANIFEST),
            remedy="submit the pilot again with `pilotplant lab submit`",
        ) from error
    return Candidate(folder, manifest)


def is_intact(folder: Path, digest: str) -> bool:
    """Whether a folder holds the candidate of that digest, byte by byte."""
    try:
        return not open_candidate(folder).tampered(digest)
    except (BadInput, OSError, ValueError):
        return False


def seal(folder: Path, **head: Any) -> Candidate:
    """Seals everything in `folder`: from now on the digest of its manifest stands for every byte in it."""
    files = {str(path.relative_to(folder)): digest_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    manifest = Manifest(files=files, **head)
    write_atomically(folder / MANIFEST, canonical(manifest.model_dump(mode="json")))
    return Candidate(folder, manifest)


def write_json(path: Path, value: Any) -> None:
    """Writes canonical JSON."""
    write_atomically(path, canonical(value))


def read_json(path: Path) -> Any:
    """Reads a JSON file that this software wrote; raises BadInput where it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput("the file cannot be read", where=str(path)) from error

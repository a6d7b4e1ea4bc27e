"""Similarity: which insights of the past a draft should be read beside, and which pilots it may be once more."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from lab.insights.insights import Insight, insights
from lab.pilots.pilot import Pilot, all_pilots
from lab.pilots.promise import Frozen
from shared.experiment.charter import Charter
from shared.state.room import Room

SHOWN = 3
# A cosine below this comes from common words alone.
SIMILARITY_MIN = 0.12
# Two messages with nine words in ten in common, by the angle between them, are one that was edited.
EDITED_MIN = 0.9
WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, slots=True)
class Similar:
    """An insight like a draft.

    Attributes:
        similarity: cosine of their words, from 0 to 1.
    """

    insight: Insight
    similarity: float


def similar(room: Room, charter: Charter) -> list[Similar]:
    """The signed insights most like the draft, the likest first; those of synthetic units are for synthetic pilots.

    Words are weighed by how rare they are among all insights (Salton and Buckley 1988, "Term-weighting approaches").
    """
    pilots = {pilot.name: pilot for pilot in all_pilots(room)}
    learned = [
        found
        for found in insights(room)
        if (found.signed or (found.retrospective and found.effect is not None))
        and found.pilot != charter.pilot
        and (charter.synthetic or not _synthetic(pilots, found))
    ]
    texts = [_words(_about(pilots, found) + " " + found.claim) for found in learned]
    documents = Counter(word for text in texts for word in text)
    rarity = {word: math.log((1 + len(texts)) / (1 + n)) + 1 for word, n in documents.items()}
    own = _words(_text(charter))
    scored = [Similar(found, _cosine(own, text, rarity)) for found, text in zip(learned, texts, strict=True)]
    nearest = sorted((s for s in scored if s.similarity >= SIMILARITY_MIN), key=lambda s: s.similarity, reverse=True)
    return nearest[:SHOWN]


@dataclass(frozen=True, slots=True)
class SimilarPilot:
    """A launched pilot that a draft may be once more.

    Attributes:
        because: by what they are alike, in words.
    """

    pilot: str
    because: str
    alpha: float

    def told(self) -> str:
        """One sentence for whoever checks the draft, without a full stop."""
        return (
            f"it looks like {self.pilot} once more: {self.because}. If it is, say `follows: {{pilot: {self.pilot}, "
            f"change: what is different, alpha_spent: {self.alpha:.12g}}}`; if not, say `follows: {{none: why not}}`, "
            "which its owner reads"
        )


def similar_pilots(room: Room, frozen: Frozen) -> list[SimilarPilot]:
    """The launched pilots on the same population and goal whose messages or arms are like the draft's.

    Population and goal alone make none; a draft that says what it follows, or that it follows none, has answered.
    """
    charter = frozen.promise.charter
    if charter.follows is not None:
        return []
    own = _messages(charter, {name: content.decode() for name, content in frozen.texts.items()})
    found = []
    for pilot in all_pilots(room):
        other = pilot.charter
        asked = (other.population, other.primary.metric, other.synthetic)
        if pilot.name == charter.pilot or asked != (charter.population, charter.primary.metric, charter.synthetic):
            continue
        theirs = _messages(other, {name: pilot.frozen_file(name).read_text() for name in pilot.promise.files})
        because = _alike(charter, other, own, theirs)
        if because is not None:
            spent = other.line.alpha_spent if other.line else 0.0
            found.append(SimilarPilot(pilot.name, because, other.sample.alpha + spent))
    return found[-SHOWN:]


def _alike(one: Charter, other: Charter, own: list[Counter[str]], theirs: list[Counter[str]]) -> str | None:
    if any(_cosine(mine, its, {}) >= EDITED_MIN for mine in own for its in theirs):
        return "its message has nearly the same words"
    if {arm.name for arm in one.treatments} == {arm.name for arm in other.treatments}:
        return "its arms have the same names"
    return None


def _messages(charter: Charter, texts: dict[str, str]) -> list[Counter[str]]:
    """The words of each treatment's message."""
    plays = [arm.play for arm in charter.treatments if arm.play]
    return [_words(f"{play.subject} {texts[play.template]}") for play in plays]


def _synthetic(pilots: dict[str, Pilot], insight: Insight) -> bool:
    return insight.pilot in pilots and pilots[insight.pilot].charter.synthetic


def _about(pilots: dict[str, Pilot], insight: Insight) -> str:
    """What the pilot of an insight is about; of a test that ran elsewhere its metric and its units."""
    pilot = pilots.get(insight.pilot)
    if pilot is None:
        return " ".join((insight.metric, insight.context.population, *insight.context.channels))
    return _text(pilot.charter)


def _text(charter: Charter) -> str:
    """What a charter is about: its belief, its metrics, its treatments and their channels."""
    story = charter.hypothesis
    plays = [f"{arm.name} {arm.play.kind} {arm.play.channel}" for arm in charter.treatments if arm.play]
    return " ".join([story.because, story.we_believe, story.will, charter.primary.metric, charter.population, *plays])


def _words(text: str) -> Counter[str]:
    return Counter(WORD.findall(text.lower()))


def _cosine(one: Counter[str], other: Counter[str], rarity: dict[str, float]) -> float:
    def weigh(words: Counter[str]) -> dict[str, float]:
        return {word: (1 + math.log(n)) * rarity.get(word, 1.0) for word, n in words.items()}

    a, b = weigh(one), weigh(other)
    lengths = math.hypot(*a.values()) * math.hypot(*b.values())
    return sum(weight * b[word] for word, weight in a.items() if word in b) / lengths if lengths else 0.0

"""The settings of every kind of rule in YAML, checked by pydantic."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) and value else value or ()


def _as_weights(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return dict.fromkeys(value, 1.0)
    return {value: 1.0} if isinstance(value, str) and value else value or {}


Words = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
Weights = Annotated[dict[str, float], BeforeValidator(_as_weights)]
Weight = Annotated[float, Field(gt=0, le=1)]


class Spec(BaseModel):
    """What every rule may say.

    ``group``: correlated rules share one. ``priority``: higher wins a tie. ``weight``: score of
    its votes. ``yes``: sentences whose ``[[marked]]`` spans must be found, and no others.
    ``no``: sentences in which nothing must be found. ``note``: why; not read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    group: str = ""
    priority: int = 0
    weight: Weight = 1.0
    yes: Words = ()
    no: Words = ()
    note: str = ""


class Matching(Spec):
    """What every rule that matches text may say.

    ``unless_before/after``: literal strings that must not stand directly before or after the
    span; ``if_before/after``: one of them must. ``unless_inside_of``: longer words that contain
    it. ``unless_contains/starts/ends/is``: strings that the span must not contain, start with,
    end with, or equal. ``min_length``, ``max_length``: in characters, 0 for no limit.
    ``width``, ``traditional``: also find full-width letters and digits, traditional characters.
    """

    unless_before: Words = ()
    unless_after: Words = ()
    if_before: Words = ()
    if_after: Words = ()
    unless_inside_of: Words = ()
    unless_contains: Words = ()
    unless_starts: Words = ()
    unless_ends: Words = ()
    unless_is: Words = ()
    min_length: Annotated[int, Field(ge=0)] = 1
    max_length: Annotated[int, Field(ge=0)] = 0
    width: bool = True
    traditional: bool = True


class LexiconSpec(Matching):
    """Words of a list or a file; the longest match wins."""

    kind: Literal["lexicon"]
    label: str = ""
    entries: dict[str, Words] | Words = ()
    file: Words = ()
    optional: bool = False
    also: dict[str, str] = {}
    remove: Words = ()
    vetoes: Words = ()
    common_words: Words = ()
    min_length: Annotated[int, Field(ge=0)] = 2


class Patterned(Matching):
    """Patterns, linear in the length of the text unless ``engine: re`` (shipped sets only)."""

    label: str = ""
    pattern: str = ""
    patterns: Words = ()
    engine: Literal["re2", "re"] = "re2"
    longest: bool = False

    @property
    def all_patterns(self) -> tuple[str, ...]:
        """``pattern`` and ``patterns`` together."""
        return (*((self.pattern,) if self.pattern else ()), *self.patterns)


class PatternSpec(Patterned):
    """Named groups give the spans; with ``label`` and without such groups, the whole match."""

    kind: Literal["pattern"]

    @model_validator(mode="after")
    def _some(self) -> PatternSpec:
        if not self.all_patterns:
            raise ValueError("found no 'pattern', expected 'pattern:' or 'patterns:'")
        return self


class ContextSpec(Matching):
    """What stands between cues; a list holds literal strings, a string is a pattern."""

    kind: Literal["context"]
    label: str
    before: str | tuple[str, ...] = ()
    after: str | tuple[str, ...] = ()
    inside: str


class Part(BaseModel):
    """One part of a template."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lexicon: str = ""
    pattern: str = ""
    one_of: Words = ()
    optional: bool = False

    @model_validator(mode="after")
    def _one(self) -> Part:
        if sum(map(bool, (self.lexicon, self.pattern, self.one_of))) != 1:
            raise ValueError("expected exactly one of 'lexicon', 'pattern', 'one_of'")
        return self


class TemplateSpec(Matching):
    """Parts that follow each other; the longest match wins."""

    kind: Literal["template"]
    label: str
    parts: tuple[Part, ...]


class NegativeSpec(Patterned):
    """Certainly no entity: words or patterns; the label is NONE."""

    kind: Literal["negative"]
    words: Words = ()
    label: Literal["NONE"] = "NONE"


class KeywordsSpec(Spec):
    """Votes for a topic when the weights of the words that occur reach ``threshold``.

    The score is ``weight * tally / (tally + scale)``. A word counts once for each time it
    occurs, at most ``cap`` times, and ``title_weight`` times as much in the title. ``sources``
    are weights of strings that occur in ``meta.source``.
    """

    kind: Literal["keywords"]
    topic: str
    words: Weights = {}
    patterns: Weights = {}
    title_patterns: Weights = {}
    sources: Weights = {}
    title_weight: Annotated[float, Field(gt=0)] = 2.0
    threshold: Annotated[float, Field(gt=0)] = 1.0
    scale: Annotated[float, Field(gt=0)] = 4.0
    cap: Annotated[int, Field(ge=1)] = 3
    width: bool = True
    traditional: bool = True


KINDS: dict[str, type[Spec]] = {
    "lexicon": LexiconSpec,
    "pattern": PatternSpec,
    "context": ContextSpec,
    "template": TemplateSpec,
    "keywords": KeywordsSpec,
    "negative": NegativeSpec,
}
"""Every kind by its name."""

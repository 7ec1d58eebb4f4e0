"""The settings of every kind of rule in YAML, checked by pydantic."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) and value else value or ()


def _as_weights(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return dict.fromkeys(value, 1.0)
    return {value: 1.0} if isinstance(value, str) and value else value or {}


def _as_lists(value: Any) -> Any:
    if not value:
        return {}
    if not isinstance(value, dict):
        raise ValueError("expected words by their weight, such as {4: {file: names.txt}}")
    spelled: dict[float, str] = {}
    for key in value:
        try:
            number = float(key)
        except ValueError:
            continue  # pydantic names it
        if number in spelled:
            raise ValueError(f"{spelled[number]} and {key} are one weight, expected one list of it")
        spelled[number] = key
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Weights = Annotated[dict[str, Finite], BeforeValidator(_as_weights)]
Lists = Annotated[dict[Finite, Words], BeforeValidator(_as_lists)]
Weight = Annotated[float, Field(gt=0, le=1)]


class Spec(BaseModel):
    """What every rule may say.

    ``group``: correlated rules share one. ``priority``: higher wins a tie. ``weight``: score of
    its votes. ``yes``: sentences whose ``[[marked]]`` spans must be found, and no others.
    ``no``: sentences in which nothing must be found. ``note``: why; not read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    second_pass: ClassVar[bool] = False

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
    occurs, at most ``cap`` times, and ``title_weight`` times as much in the title.
    ``by_weight`` gives words or ``{file: path}`` for a weight; of several weights of a word the
    highest counts. ``sources`` are weights of strings that occur in ``meta.source``.
    """

    kind: Literal["keywords"]
    topic: str
    words: Weights = {}
    by_weight: Lists = {}
    patterns: Weights = {}
    title_patterns: Weights = {}
    sources: Weights = {}
    title_weight: Annotated[float, Field(gt=0)] = 2.0
    threshold: Annotated[float, Field(gt=0)] = 1.0
    scale: Annotated[float, Field(gt=0)] = 4.0
    cap: Annotated[int, Field(ge=1)] = 3
    width: bool = True
    traditional: bool = True

    @property
    def all_words(self) -> dict[str, float]:
        """``words`` and ``by_weight`` together, the heaviest first: of two spellings it counts."""
        out = dict(self.words)
        for weight, words in self.by_weight.items():
            out |= {word: max(weight, out.get(word, weight)) for word in words}
        return dict(sorted(out.items(), key=lambda item: -item[1]))


class RepeatSpec(Matching):
    """Second pass: the majority label of a string, wherever else it stands in the document.

    ``min_votes``: weight of its votes in all; ``min_share``: of them for the majority label.
    """

    second_pass: ClassVar[bool] = True

    kind: Literal["repeat"]
    labels: Words = ()
    min_votes: Annotated[float, Field(gt=0)] = 1.0
    min_share: Annotated[float, Field(gt=0, le=1)] = 0.6
    min_length: Annotated[int, Field(ge=0)] = 2


class ShortFormSpec(Matching):
    """Second pass: 某某公司（以下简称“某公司”）, there and in the rest of the document."""

    second_pass: ClassVar[bool] = True

    kind: Literal["short_form"]
    labels: Words = ()


class SurnameSpec(Matching):
    """Second pass: a surname before a title or form of address, after the full name.

    ``followed_by``: what must stand behind it. ``compound``: surnames of two characters.
    """

    second_pass: ClassVar[bool] = True

    kind: Literal["surname"]
    labels: Annotated[Words, Field(min_length=1, max_length=1)] = ("PER",)
    followed_by: Words = (
        "先生", "女士", "某", "老师", "教授", "博士", "院士", "书记", "主席", "主任", "市长",
        "省长", "县长", "局长", "部长", "厅长", "院长", "校长", "总", "董事长", "医生", "老",
    )  # fmt: skip
    compound: Words = (
        "欧阳", "司马", "上官", "诸葛", "东方", "皇甫", "尉迟", "公孙", "令狐", "慕容", "司徒",
        "夏侯", "端木", "百里", "南宫", "长孙", "宇文",
    )  # fmt: skip


class JiebaSpec(Matching):
    """jieba's part-of-speech tagger; needs ``hanspan[taggers]``. Slow: 0.06 M characters/s.

    ``map``: jieba's tag -> label. ``dictionary``: user dictionaries in jieba's format.
    """

    kind: Literal["jieba"]
    map: Annotated[dict[str, str], Field(min_length=1)] = {
        "nr": "PER", "ns": "LOC", "nt": "ORG",
    }  # fmt: skip
    dictionary: Words = ()
    hmm: bool = True
    min_length: Annotated[int, Field(ge=0)] = 2


class TransformersSpec(Matching):
    """A token-classification model; needs ``hanspan[train]``.

    ``model``: folder (relative to the rule file) or Hub id. ``map``: its types -> labels.
    ``window``: characters that are tagged at once.
    """

    kind: Literal["transformers"]
    model: str
    map: Annotated[dict[str, str], Field(min_length=1)]
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.5
    window: Annotated[int, Field(ge=8)] = 400
    batch_size: Annotated[int, Field(ge=1)] = 8


class LlmSpec(Matching):
    """A language model behind an OpenAI-compatible endpoint; off unless ``enabled: true``.

    ``url``: up to ``/v1``. ``labels``: label -> what it is, in words. ``examples``: sentences
    with ``[[span|LABEL]]``. ``key_env``: name of the environment variable that holds the key.
    ``max_calls``, ``max_characters``: budget of one run, prompts included. ``cache``: folder of
    the answers. ``wait``: seconds before the first retry, doubled each time.
    """

    kind: Literal["llm"]
    enabled: bool = False
    url: str
    model: str
    labels: Annotated[dict[str, str], Field(min_length=1)]
    examples: Words = ()
    key_env: str = "HANSPAN_LLM_KEY"
    max_calls: Annotated[int, Field(ge=0)] = 200
    max_characters: Annotated[int, Field(ge=0)] = 200_000
    window: Annotated[int, Field(ge=16)] = 600
    retries: Annotated[int, Field(ge=0)] = 3
    timeout: Annotated[float, Field(gt=0)] = 60.0
    wait: Annotated[float, Field(ge=0)] = 1.0
    cache: str = ""


KINDS: dict[str, type[Spec]] = {
    "lexicon": LexiconSpec,
    "pattern": PatternSpec,
    "context": ContextSpec,
    "template": TemplateSpec,
    "keywords": KeywordsSpec,
    "negative": NegativeSpec,
    "repeat": RepeatSpec,
    "short_form": ShortFormSpec,
    "surname": SurnameSpec,
    "jieba": JiebaSpec,
    "transformers": TransformersSpec,
    "llm": LlmSpec,
}
"""Every kind by its name."""

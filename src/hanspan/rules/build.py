"""From checked settings to rules that run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hanspan.data import NONE
from hanspan.errors import HanspanError
from hanspan.rules.contract import RuleError, RuleInfo
from hanspan.rules.finders import Finder, PatternFinder, WordFinder
from hanspan.rules.llm import LlmFinder
from hanspan.rules.patterns import Matcher, alternation, fill
from hanspan.rules.second import RepeatFinder, ShortFormFinder, SurnameFinder
from hanspan.rules.source import read_words, resolve
from hanspan.rules.spec import (
    ContextSpec,
    JiebaSpec,
    KeywordsSpec,
    LexiconSpec,
    LlmSpec,
    NegativeSpec,
    PatternSpec,
    RepeatSpec,
    ShortFormSpec,
    Spec,
    SurnameSpec,
    TemplateSpec,
    TransformersSpec,
)
from hanspan.rules.taggers import JiebaFinder, TransformersFinder
from hanspan.rules.topic import KeywordFinder, TopicFinder

Fragments = Callable[[str], "str | tuple[str, ...] | None"]


class Context:
    """What building a rule needs besides its settings.

    Attributes:
        base: folder of the rule file.
        known: whether a word is a label of the set (or ENTITY or NONE).
        fragments: value of ``{{name}}`` or of a template's ``lexicon: name``.
        notices: filled with what the user should know.
        labels: of the set.
    """

    def __init__(
        self,
        base: Path,
        known: Callable[[str], bool],
        fragments: Fragments,
        notices: list[str],
        labels: Sequence[str] = (),
    ) -> None:
        self.base, self.known, self.fragments, self.notices = base, known, fragments, notices
        self.labels = tuple(labels)


def lexicon_entries(
    spec: LexiconSpec, where: str, base: Path, notices: list[str]
) -> dict[str, str]:
    """Every entry of a lexicon with its label.

    Raises:
        RuleError: for an entry under two labels, an entry without a label, a missing or wrongly
            encoded file.
    """
    out: dict[str, str] = {}
    origin: dict[str, str] = {}

    def put(word: str, label: str, place: str) -> None:
        if not label:
            raise RuleError(
                f"{where}: entry {word!r} ({place}) has no label; expected 'label:' or a tab and "
                f"a label after it"
            )
        if out.setdefault(word, label) != label:
            raise RuleError(
                f"{where}: entry {word!r} is given as {out[word]} ({origin[word]}) and as {label} "
                f"({place}); keep one, or name the right one under 'also:'"
            )
        origin.setdefault(word, place)

    given: Mapping[str, Sequence[str]] = (
        spec.entries if isinstance(spec.entries, dict) else {"": spec.entries}
    )
    for label, words in given.items():
        for word in words:
            if word not in spec.also:
                put(word, label or spec.label, "entries")
    for name in spec.file:
        path = resolve(name, base)
        if spec.optional and not path.is_file():
            notices.append(f"{where}: {name} is missing, its entries are left out")
            continue
        try:
            rows = read_words(path)
        except RuleError as err:
            raise RuleError(f"{where}: {err}") from None
        for line, row in rows:
            word, _, label = row.partition("\t")
            if word.strip() not in spec.also:
                put(word.strip(), label.strip() or spec.label, f"{path.name}:{line}")
    for word, label in spec.also.items():
        put(word, label, "also")
    common = {*spec.common_words, *spec.remove}
    shortest = max(1, spec.min_length)
    return {w: label for w, label in out.items() if len(w) >= shortest and w not in common}


def build(spec: Spec, info: RuleInfo, context: Context) -> Finder | TopicFinder:
    """The rule that a kind's settings describe.

    Raises:
        RuleError: naming rule, file and line.
    """
    return _BUILDERS[type(spec)](spec, info, context)


def _lexicon(spec: LexiconSpec, info: RuleInfo, context: Context) -> Finder:
    words = lexicon_entries(spec, info.where, context.base, context.notices)
    return WordFinder(info, spec, words, spec.vetoes)


def _matcher(pattern: str, label: str, spec: Any, info: RuleInfo, context: Context) -> Matcher:
    return Matcher(
        fill(pattern, context.fragments, info.where),
        label,
        context.known,
        info.where,
        engine=getattr(spec, "engine", "re2"),
        longest=getattr(spec, "longest", False),
        width=spec.width,
    )


def _pattern(spec: PatternSpec, info: RuleInfo, context: Context) -> Finder:
    matchers = [_matcher(p, spec.label, spec, info, context) for p in spec.all_patterns]
    return PatternFinder(info, spec, matchers)


def _negative(spec: NegativeSpec, info: RuleInfo, context: Context) -> Finder:
    if not spec.words and not spec.all_patterns:
        raise RuleError(f"{info.where}: found neither, expected 'words:' or 'pattern:'")
    matchers = [_matcher(p, NONE, spec, info, context) for p in spec.all_patterns]
    if not matchers:
        return WordFinder(info, spec, dict.fromkeys(spec.words, NONE))
    return PatternFinder(info, spec, matchers, dict.fromkeys(spec.words, NONE))


def _cue(cue: str | Sequence[str]) -> str:
    return f"(?:{cue})" if isinstance(cue, str) else alternation(cue) if cue else ""


def _context(spec: ContextSpec, info: RuleInfo, context: Context) -> Finder:
    if not spec.before and not spec.after:
        raise RuleError(f"{info.where}: found neither, expected 'before:' or 'after:'")
    pattern = f"{_cue(spec.before)}(?P<span>{spec.inside}){_cue(spec.after)}"
    return PatternFinder(info, spec, [_matcher(pattern, spec.label, spec, info, context)])


def _template(spec: TemplateSpec, info: RuleInfo, context: Context) -> Finder:
    pieces = []
    for part in spec.parts:
        if part.lexicon:
            piece = f"{{{{{part.lexicon}}}}}"
        else:
            piece = f"(?:{part.pattern})" if part.pattern else alternation(part.one_of)
        pieces.append(f"(?:{piece})?" if part.optional else piece)
    if all(part.optional for part in spec.parts):
        raise RuleError(f"{info.where}: every part is optional, expected at least one that is not")
    pattern = fill("".join(pieces), context.fragments, info.where)
    matcher = Matcher(
        pattern, spec.label, context.known, info.where, longest=True, width=spec.width
    )
    return PatternFinder(info, spec, [matcher])


def _keywords(spec: KeywordsSpec, info: RuleInfo, context: Context) -> TopicFinder:
    lists = spec.words or spec.by_weight
    if not (lists or spec.patterns or spec.title_patterns or spec.sources):
        raise RuleError(
            f"{info.where}: found nothing to count, expected 'words:', 'by_weight:' or 'patterns:'"
        )

    def matchers(patterns: Mapping[str, float]) -> list[tuple[Matcher, float]]:
        return [(_matcher(p, spec.topic, spec, info, context), w) for p, w in patterns.items()]

    made = KeywordFinder(info, spec, matchers(spec.patterns), matchers(spec.title_patterns))
    if "" in made.words:
        raise RuleError(f"{info.where}: found an empty word, expected words of a character or more")
    return made


def _llm(spec: LlmSpec, info: RuleInfo, context: Context) -> Finder:
    try:
        return LlmFinder(info, spec, context.base)
    except RuleError:
        raise
    except HanspanError as err:
        raise RuleError(f"{info.where}: {err}") from None


_BUILDERS: dict[type[Spec], Callable[[Any, RuleInfo, Context], Finder | TopicFinder]] = {
    LexiconSpec: _lexicon,
    PatternSpec: _pattern,
    ContextSpec: _context,
    TemplateSpec: _template,
    NegativeSpec: _negative,
    KeywordsSpec: _keywords,
    RepeatSpec: lambda spec, info, context: RepeatFinder(info, spec, context.labels),
    ShortFormSpec: lambda spec, info, context: ShortFormFinder(info, spec, context.labels),
    JiebaSpec: lambda spec, info, context: JiebaFinder(info, spec, context.base),
    TransformersSpec: lambda spec, info, context: TransformersFinder(info, spec, context.base),
    LlmSpec: _llm,
    SurnameSpec: lambda spec, info, context: SurnameFinder(info, spec, context.labels),
}

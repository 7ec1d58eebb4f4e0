"""How fast rules are applied, beside the bare automaton, skweak and a second worker.

    python scripts/bench_rules.py [--texts DOCUMENTS] [--skweak PYTHON] [--quick] [--json FILE]

Without --texts: the passages of the sample inside the package, joined to documents of at least
500 characters and repeated. Speeds are megabytes of
UTF-8 text a second of CPU time (best of three), workers are compared by wall-clock time, in one
run. For skweak, make an environment of its own and name its Python:

    python -m venv /tmp/skweak && /tmp/skweak/bin/pip install skweak==0.3.3 "spacy>=3.8,<3.9"
    python scripts/bench_rules.py --skweak /tmp/skweak/bin/python

It gets the same words and those of the same patterns that Python's re understands, by its own
gazetteer and function annotators, one token a character; hanspan applies exactly these, too.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

SKWEAK = r"""
import json, re, sys, time
import spacy, skweak
from spacy.tokens import Doc
task = json.load(open(sys.argv[1], encoding="utf-8"))
vocab = spacy.blank("zh").vocab
docs = [Doc(vocab, words=list(t), spaces=[False] * len(t)) for t in task["texts"]]
annotators = []
for name, words in task["lexicons"].items():
    trie = skweak.gazetteers.Trie([tuple(w) for w in words])
    annotators.append(skweak.gazetteers.GazetteerAnnotator(name, {name: trie}))
def annotate(pattern, name):
    compiled = re.compile(pattern)
    def function(doc):
        for m in compiled.finditer(doc.text):
            if m.end() > m.start():
                yield m.start(), m.end(), name
    return skweak.heuristics.FunctionAnnotator(name, function)
annotators += [annotate(p, f"p{i}") for i, p in enumerate(task["patterns"])]
seconds = time.process_time(); votes = 0
for doc in docs:
    for annotator in annotators:
        doc = annotator(doc)
    votes += sum(len(spans) for spans in doc.spans.values())
print(json.dumps({"seconds": time.process_time() - seconds, "votes": votes}))
"""
MEMORY = """
import sys
from hanspan.weak import label
if __name__ == "__main__":
    label(sys.argv[1], sys.argv[2], "news", fresh=True)
    with open("/proc/self/status") as status:  # ru_maxrss would count the parent's peak
        print(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")))
"""


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--texts", type=Path, help="documents to read in place of the sample")
    parser.add_argument("--skweak", metavar="PYTHON", help="an interpreter that has skweak")
    parser.add_argument("--quick", action="store_true", help="less text, a smaller lexicon")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    from hanspan.data import whole
    from hanspan.errors import HanspanError

    try:
        texts = read_texts(args.texts, 1_500_000 if args.quick else 12_000_000)
        rows = news_speed(texts) + lexicon_speed(texts, 100_000 if args.quick else 1_000_000)
        if args.skweak:
            rows += beside_skweak(texts, args.skweak)
        rows += workers(texts) + memory(texts) + catastrophe()
    except HanspanError as err:
        print(f"bench_rules: {err}", file=sys.stderr)
        return 2
    show(rows)
    if args.json:
        with whole(args.json) as temporary:
            temporary.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return 0


def row(
    what: str, value: float, unit: str, peer: str = "", peer_value: Any = None, target: str = ""
) -> dict[str, Any]:
    """One line of the table."""
    return {"what": what, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value,
            "target": target}  # fmt: skip


def read_texts(path: Path | None, size: int) -> list[str]:
    """About ``size`` bytes of text as documents; a short source is repeated."""
    from hanspan.data import read_documents

    if path is not None:
        texts, total = [], 0
        for document in read_documents(path):
            texts.append(document.text)
            total += len(document.text.encode())
            if total >= size:
                return texts
    else:
        from importlib import resources

        sample = resources.files("hanspan") / "assets" / "sample"
        with resources.as_file(sample) as folder:
            files = [folder / "dev.jsonl", folder / "test.jsonl"]
            texts = joined(document.text for file in files for document in read_documents(file))
    total = sum(len(text.encode()) for text in texts)
    return texts * (size // max(total, 1) + 1)


def joined(texts: Iterable[str], least: int = 500) -> list[str]:
    """Short texts put together, so that documents have the length of news articles."""
    out = [""]
    for text in texts:
        if len(out[-1]) >= least:
            out.append("")
        out[-1] += text + "\n"
    return out


def megabytes(texts: Sequence[str]) -> float:
    """UTF-8."""
    return sum(len(text.encode()) for text in texts) / 1e6


def best(work: Callable[[], Any], times: int = 3) -> float:
    """Least CPU seconds of a few runs."""
    seconds = []
    for _ in range(times):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def news_speed(texts: Sequence[str]) -> list[dict[str, Any]]:
    """The shipped set: the first megabyte, and all."""
    from hanspan.data import Document
    from hanspan.rules import load_rules

    documents = [Document(str(n), text) for n, text in enumerate(texts)]
    started = time.process_time()
    rules = load_rules("news")
    rules.votes(documents[0])
    start = time.process_time() - started
    started = time.process_time()
    votes = sum(len(rules.votes(document)[0]) for document in documents)
    seconds = time.process_time() - started
    return [
        row("news set, start", round(start, 2), "s"),
        row("news set, one core", round(megabytes(texts) / seconds, 2), "MB/s", target=">= 1.0"),
        row("news set, votes", round(votes / megabytes(texts)), "spans/MB"),
    ]


def lexicon_speed(texts: Sequence[str], size: int) -> list[dict[str, Any]]:
    """A large lexicon as a rule, against the automaton alone."""
    import ahocorasick_rs as ac

    from hanspan.data import Document
    from hanspan.rules import RuleInfo, RuleSet
    from hanspan.rules.finders import WordFinder
    from hanspan.rules.spec import LexiconSpec

    texts = texts[: max(1, len(texts) // 3)]
    words = made_words(texts, size)
    automaton = ac.AhoCorasick(words, matchkind=ac.MatchKind.LeftmostLongest, store_patterns=False)
    spec = LexiconSpec(kind="lexicon", label="ORG")
    finder = WordFinder(RuleInfo("big", "lexicon", ("ORG",)), spec, dict.fromkeys(words, "ORG"))
    rules = RuleSet("big", [finder])
    documents = [Document(str(n), text) for n, text in enumerate(texts)]
    rules.votes(documents[0])
    bare = best(lambda: [automaton.find_matches_as_indexes(text) for text in texts])
    ours = best(lambda: [rules.votes(document) for document in documents])
    size_mb = megabytes(texts)
    return [
        row(f"lexicon of {len(words):,} entries", round(size_mb / ours, 1), "MB/s",
            "ahocorasick-rs alone", round(size_mb / bare, 1)),
        row("... share of the bare automaton", round(bare / ours, 2), "x", target=">= 0.5"),
    ]  # fmt: skip


def made_words(texts: Sequence[str], size: int) -> list[str]:
    """Names of 3 to 8 characters, drawn as the characters of the texts are distributed."""
    generator = random.Random(7)
    chars = [c for text in texts[:2000] for c in text if "\u4e00" <= c <= "\u9fff"]
    words: set[str] = set()
    while len(words) < size:
        words.add("".join(generator.choices(chars, k=generator.randint(3, 8))))
    return sorted(words)


def beside_skweak(texts: Sequence[str], python: str) -> list[dict[str, Any]]:
    """The words and patterns of the news set, in both."""
    from hanspan.data import Document
    from hanspan.rules import RuleInfo, RuleSet, load_rules
    from hanspan.rules.finders import Finder, PatternFinder, WordFinder
    from hanspan.rules.patterns import Matcher
    from hanspan.rules.spec import LexiconSpec, PatternSpec

    lexicons: dict[str, list[str]] = {}
    patterns: list[str] = []
    finders: list[Finder] = []
    for finder in load_rules("news").finders:
        name = finder.info.name
        if isinstance(finder, WordFinder):
            lexicons[name] = list(finder.words)
            info = RuleInfo(name, "lexicon", ("X",))
            words = dict.fromkeys(finder.words, "X")
            finders.append(WordFinder(info, LexiconSpec(kind="lexicon", min_length=1), words))
        for matcher in getattr(finder, "matchers", ()):
            plain = for_python(matcher.pattern)
            if plain is None:
                continue
            info = RuleInfo(f"p{len(patterns)}", "pattern", ("X",))
            spec = PatternSpec(kind="pattern", pattern=plain)
            engine = "re2" if matcher.bytes else "re"
            same = Matcher(plain, "X", lambda _: True, "", engine=engine)
            finders.append(PatternFinder(info, spec, [same]))
            patterns.append(plain)
    few = list(texts[: max(1, len(texts) * 600_000 // int(megabytes(texts) * 1e6))])
    rules = RuleSet("same", finders, labels=["X"])
    documents = [Document(str(n), text) for n, text in enumerate(few)]
    rules.votes(documents[0])
    started = time.process_time()
    votes = sum(len(rules.votes(document)[0]) for document in documents)
    ours = time.process_time() - started
    with tempfile.TemporaryDirectory() as folder:
        task, script = Path(folder) / "task.json", Path(folder) / "peer.py"
        task.write_text(
            json.dumps({"texts": few, "lexicons": lexicons, "patterns": patterns}), "utf-8"
        )
        script.write_text(SKWEAK, "utf-8")
        found = subprocess.run(
            [python, str(script), str(task)], capture_output=True, text=True, check=False
        )
    if found.returncode:
        from hanspan.errors import HanspanError

        raise HanspanError(f"{python} could not run skweak: {found.stderr.strip()[-300:]}")
    peer = json.loads(found.stdout.splitlines()[-1])
    size = megabytes(few)
    what = f"{len(lexicons)} lexicons and {len(patterns)} patterns of news"
    return [
        row(what, round(size / ours, 2), "MB/s", "skweak", round(size / peer["seconds"], 4)),
        row("... times skweak", round(peer["seconds"] / ours, 1), "x", target=">= 30"),
        row("... votes", votes, "spans", "skweak", peer["votes"]),
    ]


def for_python(pattern: str) -> str | None:
    """The same pattern for Python's re, without named groups; None where there is none."""
    plain = re.sub(r"\(\?P<\w+>", "(?:", pattern)
    plain = plain.replace(r"[^\P{Han}", "[^\x00-\u3400\u9fff-\U0010ffff")
    plain = plain.replace(r"\p{Han}", "\u4e00-\u9fff" if "[\\p" in plain else "[\u4e00-\u9fff]")
    plain = re.sub(r"\\x\{([0-9a-fA-F]+)\}", lambda m: re.escape(chr(int(m[1], 16))), plain)
    if "\\p" in plain or "\\P" in plain:
        return None
    try:
        re.compile(plain)
        return plain
    except re.error:
        return None


def cpu() -> float:
    """CPU seconds of this process and of the children that have ended."""
    own, children = (
        resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def workers(texts: Sequence[str]) -> list[dict[str, Any]]:
    """The whole stage, file to file, with one and with two processes."""
    from hanspan.data import Document, write_documents
    from hanspan.weak import label

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
        write_documents(source, (Document(str(n), text) for n, text in enumerate(texts)))
        seconds, used = {}, {}
        for count in (1, 2):
            started, before = time.perf_counter(), cpu()
            label(source, target, "news", workers=count, fresh=True)
            seconds[count] = time.perf_counter() - started
            used[count] = cpu() - before
        started = time.perf_counter()
        label(source, target, "news")
        again = time.perf_counter() - started
    size = megabytes(texts)
    return [
        row("label, file to file, 1 worker", round(size / seconds[1], 2), "MB/s"),
        row("label, 2 workers against 1", round(seconds[1] / seconds[2], 2), "x", target=">= 1.7"),
        row(
            "... CPU seconds of both together",
            round(used[2], 1),
            "s",
            "1 worker",
            round(used[1], 1),
        ),
        row("label, nothing changed", round(again, 2), "s"),
    ]


def memory(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Peak of a process of its own, on a tenth of the text and on all."""
    from hanspan.data import Document, write_documents

    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "peak.py"
        script.write_text(MEMORY, "utf-8")
        for share in (10, 1):
            source = Path(folder) / f"in{share}.jsonl"
            part = texts[: max(1, len(texts) // share)]
            write_documents(source, (Document(str(n), text) for n, text in enumerate(part)))
            done = subprocess.run(
                [sys.executable, str(script), str(source), str(Path(folder) / "out.jsonl")],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            peaks.append(float(done.stdout))
    return [
        row("peak memory, a tenth of the text", round(peaks[0]), "MiB"),
        row("peak memory, all", round(peaks[1]), "MiB", target="flat"),
        row("... against a tenth", round(peaks[1] / peaks[0], 2), "x"),
    ]


def catastrophe() -> list[dict[str, Any]]:
    """A pattern that takes Python's re for ever, on a text and on twice the text."""
    from hanspan.rules.fold import View
    from hanspan.rules.patterns import Matcher

    matcher = Matcher("^(?:省+)+$", "X", lambda _: True, "")
    views = [View("省" * size + "县") for size in (100_000, 200_000)]
    seconds = [best(partial(matcher.find, view)) for view in views]
    return [
        row("^(省+)+$ on 100,000 characters", round(seconds[0] * 1e3, 2), "ms"),
        row("... on twice as many", round(seconds[1] / seconds[0], 1), "x", target="linear"),
    ]


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table."""
    for item in rows:
        peer = f"   {item['peer']}: {item['peer_value']}" if item["peer"] else ""
        target = f"   (target {item['target']})" if item["target"] else ""
        print(f"{item['what']:<52} {item['value']:>10} {item['unit']:<9}{peer}{target}")
    print(f"peak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


if __name__ == "__main__":
    raise SystemExit(main())

"""pytest tests/test_evaluate.py"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.data import Document, Span
from hanspan.errors import HanspanError
from hanspan.evaluate import Score, evaluate, flat, parse_mapping

LABELS = ("PER", "ORG", "LOC")


@st.composite
def flat_spans(draw: st.DrawFn, length: int) -> tuple[Span, ...]:
    spans, position = [], 0
    while position < length:
        start = draw(st.integers(position, length))
        if start >= length or not draw(st.booleans()):
            break
        end = draw(st.integers(start + 1, min(length, start + 4)))
        spans.append(Span(start, end, draw(st.sampled_from(LABELS))))
        position = end
    return tuple(spans)


def iob2(length: int, spans: tuple[Span, ...]) -> list[str]:
    tags = ["O"] * length
    for span in spans:
        tags[span.start] = f"B-{span.label}"
        tags[span.start + 1 : span.end] = [f"I-{span.label}"] * (span.end - span.start - 1)
    return tags


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_counts_equal_seqeval_in_strict_mode(data: st.DataObject) -> None:
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.scheme import IOB2

    gold, predicted, tags = [], [], ([], [])
    for number in range(data.draw(st.integers(1, 4))):
        text = "字" * data.draw(st.integers(1, 15))
        both = data.draw(flat_spans(len(text))), data.draw(flat_spans(len(text)))
        gold.append(Document(str(number), text, both[0]))
        predicted.append(Document(str(number), text, both[1]))
        for side, spans in zip(tags, both, strict=True):
            side.append(iob2(len(text), spans))
    report = evaluate(gold, predicted)
    keywords = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    if report.micro.support and report.micro.predicted:
        assert report.micro.precision == pytest.approx(precision_score(*tags, **keywords))
        assert report.micro.recall == pytest.approx(recall_score(*tags, **keywords))
        assert report.micro.f1 == pytest.approx(f1_score(*tags, **keywords))
    else:
        assert report.micro.correct == 0


def test_perfect_and_empty() -> None:
    text = "合肥市政协主席韩冰"
    gold = [Document("a", text, (Span(0, 5, "GOV"), Span(7, 9, "PER")))]
    perfect = evaluate(gold, gold)
    assert perfect.micro.f1 == 1.0
    assert perfect.interval == (1.0, 1.0)
    assert perfect.mistakes == {}
    nothing = evaluate(gold, [Document("a", text)])
    assert (nothing.micro.f1, nothing.mistakes) == (0.0, {"missed": 2})
    assert json.loads(json.dumps(perfect.as_dict()))["entities"]["f1"] == 1.0


def test_each_kind_of_mistake_is_named_once() -> None:
    text = "一二三四五六七八"
    gold = [Document("a", text, (Span(0, 2, "PER"), Span(2, 4, "LOC"), Span(4, 6, "ORG")))]
    predicted = [Document("a", text, (Span(0, 2, "LOC"), Span(2, 5, "LOC"), Span(6, 8, "PER")))]
    assert evaluate(gold, predicted).mistakes == {
        "wrong type": 1,
        "wrong border": 1,
        "missed": 1,
        "invented": 1,
    }


def test_mapping_joins_and_drops_labels() -> None:
    gold = [Document("a", "一二三四", (Span(0, 1, "ORG"),))]
    predicted = [Document("a", "一二三四", (Span(0, 1, "GOV"), Span(2, 3, "TIME")))]
    report = evaluate(gold, predicted, mapping=parse_mapping("GOV=ORG, TIME="))
    assert report.micro.f1 == 1.0
    with pytest.raises(HanspanError, match="LABEL=LABEL"):
        parse_mapping("GOV")


def test_topics_count_silence_as_wrong() -> None:
    gold = [Document(str(i), "字", labels={"topic": t}) for i, t in enumerate("aab")]
    predicted = [
        Document("0", "字", labels={"topic": "a"}),
        Document("1", "字"),
        Document("2", "字", labels={"topic": "c"}),
    ]
    topics = evaluate(gold, predicted).topics
    assert topics is not None
    assert topics.accuracy == pytest.approx(1 / 3)
    assert topics.silent == 1
    assert topics.macro_f1 == pytest.approx((2 / 3 + 0) / 2)
    assert topics.confusion == {"a": {"a": 1, "(none)": 1}, "b": {"c": 1}}


def test_scores_are_compared_with_how_many_are_right() -> None:
    text = "甲乙丙丁戊"
    gold = [Document("a", text, tuple(Span(i, i + 1, "PER") for i in range(3)))]
    values = (0.95, 0.92, 0.61, 0.64, 1.0)
    answer = tuple(Span(i, i + 1, "PER", value) for i, value in enumerate(values))
    report = evaluate(gold, [Document("a", text, answer)])
    assert report.scores is not None
    assert report.scores.mean == pytest.approx(sum(values) / 5)
    upper, lower = abs(0.95 + 0.92 + 1.0 - 2), abs(0.61 + 0.64 - 1)  # two bins
    assert report.scores.error == pytest.approx((upper + lower) / 5)
    assert report.as_dict()["entities"]["calibration_error"] == report.scores.error
    bare = tuple(Span(s.start, s.end, s.label) for s in answer)
    assert evaluate(gold, [Document("a", text, bare)]).scores is None
    for odd in (-0.1, 1.5, float("nan")):  # such as log-probabilities of another system
        strange = (Span(0, 1, "PER", odd), Span(1, 2, "PER", 0.5))
        assert evaluate(gold, [Document("a", text, strange)]).scores is None


def test_seen_and_unseen_mentions() -> None:
    gold = [Document("a", "甲乙丙丁", (Span(0, 1, "PER"), Span(1, 2, "PER"), Span(2, 3, "PER")))]
    answer = (Span(0, 1, "PER"), Span(1, 2, "PER"), Span(3, 4, "PER"))
    report = evaluate(gold, [Document("a", "甲乙丙丁", answer)], known_mentions=["甲"])
    assert (report.seen, report.unseen) == (Score(1, 1, 1), Score(1, 2, 2))
    assert report.as_dict()["entities"]["unseen_mentions"]["f1"] == 0.5
    assert evaluate(gold, [Document("a", "甲乙丙丁", answer)]).seen is None


@pytest.mark.parametrize(
    ("gold", "predicted", "says"),
    [
        ([Document("a", "一二三", (Span(0, 2, "X"), Span(1, 3, "Y")))], [Document("a", "一二三")],
         "overlap"),
        ([Document("a", "一")], [Document("b", "一")], "not among the predicted"),
        ([Document("a", "一")], [Document("a", "二")], "text differ"),
        ([Document("a", "一")], [Document("a", "一"), Document("a", "一")], "twice"),
        ([], [], "at least one"),
    ],
)  # fmt: skip
def test_bad_input_is_named(gold: list[Document], predicted: list[Document], says: str) -> None:
    with pytest.raises(HanspanError, match=says):
        evaluate(gold, predicted)


def test_flat_keeps_the_longest() -> None:
    spans = [Span(0, 2, "A"), Span(1, 4, "B"), Span(4, 5, "C")]
    assert flat(spans) == [Span(1, 4, "B"), Span(4, 5, "C")]

"""The label sets that ship: entity types and topics of a task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Entity types and document classes of a task, in the order of the model's outputs."""

    entities: tuple[str, ...]
    topics: tuple[str, ...]


_NEWS_ENTITIES = (
    "PER", "TITLE", "GOV", "COM", "ORG", "LOC", "EVENT",
    "POLICY", "WORK", "IND", "TIME", "MONEY", "PERCENT", "QTY",
)  # fmt: skip
_NEWS_TOPICS = (
    "politics", "economy", "technology", "agriculture", "environment",
    "society", "culture", "world", "military",
)  # fmt: skip
_THUCNEWS = (
    "finance", "realty", "stocks", "education", "science",
    "society", "politics", "sports", "game", "entertainment",
)  # fmt: skip

LABEL_SETS: dict[str, LabelSet] = {
    "news": LabelSet(_NEWS_ENTITIES, _NEWS_TOPICS),
    "thucnews": LabelSet((), _THUCNEWS),
}

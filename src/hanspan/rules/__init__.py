"""Rules: what the user knows, written as lexicons, patterns and functions that vote."""

from hanspan.rules.contract import (
    ENTITY,
    NONE,
    FunctionRule,
    Rule,
    RuleError,
    RuleInfo,
    TopicVote,
    rule,
    topic_rule,
)
from hanspan.rules.loader import load_rules, shipped
from hanspan.rules.ruleset import RuleSet

__all__ = [
    "ENTITY",
    "NONE",
    "FunctionRule",
    "Rule",
    "RuleError",
    "RuleInfo",
    "RuleSet",
    "TopicVote",
    "load_rules",
    "rule",
    "shipped",
    "topic_rule",
]

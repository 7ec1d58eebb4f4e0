"""Many votes of rules -> one soft label: vote, Dawid-Skene, HMM. Imports no torch."""

from hanspan.labelmodel.aggregate import AggregateSummary, aggregate, vote
from hanspan.labelmodel.answering import answering
from hanspan.labelmodel.explain import explain

__all__ = ["AggregateSummary", "aggregate", "answering", "explain", "vote"]

"""Many votes of rules -> one soft label: vote, Dawid-Skene, HMM. Imports no torch."""

from hanspan.labelmodel.aggregate import AggregateSummary, aggregate, vote

__all__ = ["AggregateSummary", "aggregate", "vote"]

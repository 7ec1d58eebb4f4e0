"""Reports that a person reads: one HTML page, and its plot."""

from hanspan.report.page import report_page
from hanspan.report.plot import f1_plot
from hanspan.report.text import highlight_html

__all__ = ["f1_plot", "highlight_html", "report_page"]

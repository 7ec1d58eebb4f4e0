"""Raw pages -> articles: ``pages`` is the stage, ``read_page`` takes one text apart,
``explain`` shows how."""

from hanspan.pages.page import Article, Page, documents
from hanspan.pages.picture import explain
from hanspan.pages.stage import PagesSummary, pages, read_page

__all__ = ["Article", "Page", "PagesSummary", "documents", "explain", "pages", "read_page"]

"""Raw pages -> articles: ``pages`` is the stage, ``read_page`` takes one text apart."""

from hanspan.pages.page import Article, Page, documents
from hanspan.pages.stage import PagesSummary, pages, read_page

__all__ = ["Article", "Page", "PagesSummary", "documents", "pages", "read_page"]

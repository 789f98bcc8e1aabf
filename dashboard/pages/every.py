"""The list of pages. A new page stands here, and where people are to find it, in ``navigation.py``."""

from dashboard.pages import now, operations, static

PAGES = (static.routes, operations.routes, now.routes)

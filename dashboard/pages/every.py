"""The list of pages. A new page stands here, and where people are to find it, in ``navigation.py``."""

from dashboard.pages import cost, model, now, operations, runs, static

PAGES = (static.routes, operations.routes, now.routes, model.routes, runs.routes, cost.routes)

"""The list of pages. A new page stands here, and where people are to find it, in ``navigation.py``."""

from dashboard.pages import cost, data, lineage, model, now, operations, runs, static, studies

PAGES = (static.routes, operations.routes, now.routes, model.routes, data.routes, lineage.routes, studies.routes, runs.routes, cost.routes)

"""The report: a run directory's record in, a static site out. Needs jinja2 alone; torch is never imported."""

from snellen.reports.site import build

__all__ = ["build"]

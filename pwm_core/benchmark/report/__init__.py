"""The report of a benchmark: HTML pages that work from disk, with the cells behind every number."""

from .pages import write_report

__all__ = ["write_report"]

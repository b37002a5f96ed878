"""Reports: what a run found, as data, as tables and as one picture."""

from equimod.report.codes import ViewSamples
from equimod.report.overview import Overview, write_overview
from equimod.report.results import ArmResult, RunSummary, read_summary, write_summary
from equimod.report.table import render, to_markdown

__all__ = [
    "ArmResult",
    "Overview",
    "RunSummary",
    "ViewSamples",
    "read_summary",
    "render",
    "to_markdown",
    "write_overview",
    "write_summary",
]

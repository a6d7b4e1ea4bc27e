"""`python -m benchmarks.evidence [NAME …]`: runs the named benchmarks, or all; writes docs/benchmarks/evidence.md."""

from __future__ import annotations

from benchmarks.page import Page

TITLE = """# Benchmarks of the evidence engine

`make bench` writes this page; `python -m benchmarks.evidence NAME …` writes single sections of it anew. A ratio is the
time of our call over the time of its peer's, both on the same machine and file, in turns: medians of several rounds,
each call in a fresh process that has everything imported before the clock starts. Memory is the peak of the whole
process, interpreter and libraries included.
"""

if __name__ == "__main__":
    Page("evidence", TITLE, frozenset({"stage"})).main()

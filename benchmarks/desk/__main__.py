"""`python -m benchmarks.desk [NAME …]`: runs the named benchmarks, or all; writes docs/benchmarks/desk.md."""

from __future__ import annotations

from benchmarks.page import Page

TITLE = """# Benchmarks of the desk

`make bench` writes this page; `python -m benchmarks.desk NAME …` writes single sections of it anew. A ratio is the
time of our work over that of its peer, both on the same machine, in turns. Memory is the peak of the whole process.
"""

if __name__ == "__main__":
    Page("desk", TITLE, frozenset()).main()

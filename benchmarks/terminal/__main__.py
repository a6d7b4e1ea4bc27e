"""`python -m benchmarks.terminal [NAME …]`: runs the named benchmarks, or all; writes docs/benchmarks/terminal.md."""

from __future__ import annotations

from benchmarks.page import Page

TITLE = """# Benchmarks of the command line

`make bench` writes this page; `python -m benchmarks.terminal NAME …` writes single sections of it anew. A ratio is the
time of our work over that of its peer, both on the same machine, in turns: medians of several rounds. Memory is the
peak of the whole process, interpreter and libraries included.
"""

if __name__ == "__main__":
    Page("terminal", TITLE, frozenset()).main()

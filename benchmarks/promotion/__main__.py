"""`python -m benchmarks.promotion [NAME …]`: runs the named benchmarks, or all; writes docs/benchmarks/promotion.md."""

from __future__ import annotations

from benchmarks.page import Page

TITLE = """# Benchmarks of the gate

`make bench` writes this page; `python -m benchmarks.promotion NAME …` writes single sections of it anew. A ratio is the
time of a whole process, from the interpreter's start to its last line, over that of its peer, both on the same machine,
in turns: medians of several rounds. Memory is the peak of the whole process, interpreter and libraries included.
"""

if __name__ == "__main__":
    Page("promotion", TITLE, frozenset()).main()

"""`python -m benchmarks.gate [PILOTS [CLASS …]]`: so many pilots of each class (or of some) through both stacks."""

import os
import sys

from benchmarks.gate.classes import CLASSES
from benchmarks.gate.headline import EVERY, page, simulate


def main() -> None:
    words = sys.argv[1:]
    strange = [word for word in words[1:] if word not in EVERY]
    if strange or (words and not words[0].isdigit()):
        sys.exit(f"usage: python -m benchmarks.gate [PILOTS [CLASS …]], the classes being {', '.join(EVERY)}")
    results = simulate([EVERY[word] for word in words[1:]] or CLASSES, int(words[0]) if words else None)
    sys.stdout.write(page(results))
    sys.stdout.flush()
    os._exit(not all(result.holds for result in results))  # before DuckDB's extension module prints leak warnings


main()

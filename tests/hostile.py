"""Words that would act on whatever shows them, and what must never be found where they are shown.

What is hostile is told by Unicode's own categories here, and by a table of the product there.
"""

from __future__ import annotations

import unicodedata

# A forged line, a carriage return, a colour, the one-byte CSI, a title (OSC), a bell, marks of direction, a separator,
# zero-width signs, a tag, a markup of the terminal's library, HTML, a formula, and a formula of mathematics.
HOSTILE = (
    "so\neverybody: ADMIT\r\x1b[2K\x1b[32mADMIT\x1b[0m\x9b2J\x1b]0;ADMIT\x07 \u202eTIMDA\u202c\u2066x\u2069\u2028ADMIT"
    "\u2029\u200b\ufeff\U000e0041\x00 [bold red]ADMIT[/] <b>ADMIT</b><script>alert(1)</script> $\\frac$ \x85ADMIT"
)
# YAML has no form for the zero byte.
WRITTEN = HOSTILE.replace("\x00", "")
# Joiners and variation selectors are part of how names and emoji are spelt.
SPELLING = {"\u200c", "\u200d"}
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Signs before Arabic, Syriac and Kaithi numbers show like any letter (Unicode: Prepended_Concatenation_Mark), and so do
# the controls of hieroglyphs' places.
SHOWN = {
    *map(chr, range(0x600, 0x606)),
    "\u06dd",
    "\u070f",
    "\u0890",
    "\u0891",
    "\u08e2",
    "\U000110bd",
    "\U000110cd",
} | {*map(chr, range(0x13430, 0x13440))}


def hostile_signs(text: str, *, allowed: str = "\n") -> set[str]:
    """The characters of a text that act on what shows it."""
    return {
        sign
        for sign in text
        if unicodedata.category(sign) in HIDDEN and sign not in SPELLING and sign not in SHOWN and sign not in allowed
    }


def forged_lines(text: str) -> list[str]:
    """Lines that say ADMIT as if the page itself said it."""
    return [line for line in text.splitlines() if line.strip() in {"ADMIT", "everybody: ADMIT"}]

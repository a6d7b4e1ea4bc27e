"""Whether a pilot's data can be believed: who was exposed, what is missing, and whether the effects are plausible."""

"""Checks of the sample: randomisation, sample ratio, who was exposed, balance before the pilot."""

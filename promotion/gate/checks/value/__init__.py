"""Checks of money and owner: the budget, the spend, what the gain is worth, and who decides."""

"""Steps of what every room has: its ledger."""

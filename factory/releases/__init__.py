"""Releases: admitted packages, trusted keys, permits and receipts."""

"""Decisions: drafted, proposed, signed, carried out, or made by silence."""

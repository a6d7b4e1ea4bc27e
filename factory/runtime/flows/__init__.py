"""Flows: what Prefect starts; each calls one plain function of the Factory."""

"""The promotion gate: decides, and fails closed."""

"""SQL over a pilot's own data, confined."""

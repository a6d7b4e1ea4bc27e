"""Made-up units with planted effects, and the rehearsal of a pilot's whole way."""

"""A workspace on disk: its rooms, their databases and ledgers, and who may read them."""

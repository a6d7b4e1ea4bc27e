"""Tables: contracts, quality, masking, files as other tools write them, and snapshots."""

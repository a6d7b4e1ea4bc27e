"""One file per check of the gate."""

"""What is signed, sealed and handed over: keys, statements, candidates, packages, receipts and records."""

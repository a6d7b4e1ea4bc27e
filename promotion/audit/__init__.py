"""What others can verify: ledgers, attestations, checkpoints and exported packages."""

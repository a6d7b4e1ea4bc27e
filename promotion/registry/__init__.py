"""What the gate registered: promises, nonces, lines, and the error rate that all pilots share."""

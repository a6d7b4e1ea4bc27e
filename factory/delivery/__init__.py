"""Messages: who gets which words, and through which channel."""

"""What waits for whom, and the owner's one page."""

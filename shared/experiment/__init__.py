"""What a pilot promises: charter, metrics, sample plan, plays, assignment, and the people who answer for it."""

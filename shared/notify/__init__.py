"""Ways to reach the team's own people: mail and webhook."""

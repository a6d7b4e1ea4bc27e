"""What a plan means before anything is spent."""

"""The Lab at a glance: portfolio, learning velocity and reminders."""

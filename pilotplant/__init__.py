"""The front door: opens the rooms' commands, and shows both environments on one screen."""

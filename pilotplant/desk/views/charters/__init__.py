"""Plans that are still being made: a draft's charter as a form and as text, its audience, its messages."""

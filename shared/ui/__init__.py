"""How commands, pages and plots speak to people."""

"""What each page of the desk shows: frozen views over the rooms' own, which know neither server nor request."""

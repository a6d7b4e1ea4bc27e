"""The desk: the rooms' pages in a browser, for marketers, decision owners and marketing ops."""

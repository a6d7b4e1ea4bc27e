"""What two rooms need: the types that cross a boundary, and the machinery below them."""

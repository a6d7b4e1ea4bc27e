"""What was learned, how it is linked, and what a draft should be read beside."""

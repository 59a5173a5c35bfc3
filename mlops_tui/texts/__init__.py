"""How things read on a screen, for both faces: plain text and characters, no colour, no library that draws."""

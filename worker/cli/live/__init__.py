"""`aigc top`: what is shown is a pure function of what was seen (`view`, `rates`); `loop` looks."""

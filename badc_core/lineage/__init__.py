"""Where results came from: of one file on screen, and of a whole corpus as an RO-Crate."""

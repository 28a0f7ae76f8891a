"""Worker processes that keep their model: chunks go in, what was found in them comes out."""

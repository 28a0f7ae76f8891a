"""What an output was made from: content, settings, code."""

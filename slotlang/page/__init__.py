"""A program as a page: one HTML file, or served beside an editor on the loopback."""

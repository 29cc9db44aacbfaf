"""Content-based recommendation."""

"""Ratings linked to catalogues by title and year."""

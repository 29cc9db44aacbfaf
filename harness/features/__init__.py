"""Features of titles and of users."""

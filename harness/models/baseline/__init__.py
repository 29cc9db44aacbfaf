"""The floor of every comparison: the global mean, and user and item bias."""

"""LightFM: collaborative filtering with features of both sides."""

"""Collaborative filtering by nearest neighbours."""

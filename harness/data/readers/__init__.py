"""Readers: files of ratings and catalogues."""

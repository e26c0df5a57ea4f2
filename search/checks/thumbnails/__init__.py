"""Measure what stored thumbnails tell, once a film, and keep it beside the archive."""

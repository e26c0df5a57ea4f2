"""Semantic search for X-ray archives. Research use only, not for diagnosis."""

"""Data sets as files: from one format into another, split, counted, checked."""

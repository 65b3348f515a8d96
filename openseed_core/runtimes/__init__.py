"""Who computes the two steps of conditioned decoding: torch, or a graph compiled once by another engine."""

"""openseed_core."""

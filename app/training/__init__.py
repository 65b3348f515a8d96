"""Reads data sets and settings for ``openseed_core.training``."""

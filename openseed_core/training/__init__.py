"""Training: tensors in, updated weights out. Files are read by ``app.training``."""

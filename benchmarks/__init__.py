"""Speed and memory, measured. Nothing here is part of the package; run it from the repository, see README.md."""

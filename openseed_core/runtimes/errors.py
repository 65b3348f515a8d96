"""What can be wrong with a runtime. Imports nothing heavy."""


class RuntimeUnavailable(ValueError):
    """The runtime can't be used here; the message says why, and what to do."""

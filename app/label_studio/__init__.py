"""Label Studio: the ML backend, big jobs through its API, its JSON, and what is wrong with a set-up."""

"""One file per command; ``main`` finds them and turns their errors into exit codes."""

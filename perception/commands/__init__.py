"""One module per command: ``main`` does the work and returns what ``--json`` prints, ``show`` prints it for people."""

"""The kinds of source; :func:`perception.runtime.source.open_source` picks one."""

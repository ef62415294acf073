"""Measures: data-set-level metrics of every head, and drivable-area measures in metres."""

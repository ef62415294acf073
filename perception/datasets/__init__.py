"""Data sets as samples: one module per format."""

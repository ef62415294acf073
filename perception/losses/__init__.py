"""Losses: plain functions on tensors, and the modules that balance tasks."""

"""Frames, cameras, boxes and the ground plane; numpy only, no networks."""

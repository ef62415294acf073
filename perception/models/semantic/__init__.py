"""Systems for semantic segmentation under their published names; one file per family."""

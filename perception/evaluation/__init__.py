"""Ways to run a model over an image that cost more than one pass: windows, scales, mirrors."""

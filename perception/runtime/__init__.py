"""The real-time loop: source, speed, resolution, engine. Needs a model, never the training code."""

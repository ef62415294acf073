"""Label sets of public data sets, and the mappings between them and the road-scene label set."""

"""The procedural driving world: scenes, sensors, and a data set writer; the embedded default of the library."""

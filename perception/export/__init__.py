"""Models out of the library: files that other runtimes run, proved equal."""

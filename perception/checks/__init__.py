"""Whether a data set is whole: tables, links, files and values."""

"""A broker and a store in one SQLite file, for one machine: what was confirmed outlives the process and the power."""

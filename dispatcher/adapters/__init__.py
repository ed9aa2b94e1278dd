"""One file for each outside thing that the dispatcher stands on."""

"""What components say to each other: pure data, wire formats, names. No I/O, no clock, no randomness."""

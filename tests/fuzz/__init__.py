"""Everything that parses what others wrote, under bytes that mean it ill.

A target takes bytes and raises ``AssertionError`` where a promise is broken; whatever else it raises is a finding
too. ``make test`` runs every target over its corpus and a few hundred mutations of it; ``make fuzz`` runs them under
atheris, which looks for inputs that reach new code.
"""

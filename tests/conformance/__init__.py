"""The API held against its own document by schemathesis, over a real ``kubedaemon dev``."""

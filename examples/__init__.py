"""Programs to start from. They run as they are; a package only so that the ledger's tools can be imported."""

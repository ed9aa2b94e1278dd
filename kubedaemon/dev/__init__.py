"""Everything on one machine, embedded: what ``kubedaemon dev`` runs."""

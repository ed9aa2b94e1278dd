"""What more than one component stands on: the broker and the store behind narrow ports, HTTP and process basics."""

"""What people see: words and numbers (text), tables, views of queues and messages, and the live board."""

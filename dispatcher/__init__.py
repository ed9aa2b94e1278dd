"""The front door: enqueue, results, queues and what can be done with them, over HTTP."""

"""The controller: turns WorkQueues into running workloads and resizes them, to zero and back."""

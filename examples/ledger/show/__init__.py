"""What the demonstration is made of: the processes, the senders, who watches, who kills, and the receipt."""

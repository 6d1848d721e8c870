"""What popfetch_batch is made of; the order of the folders is in the README, and a test keeps it."""

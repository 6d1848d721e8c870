"""What popfetch_batch is made of; the order of the folders is in CONTRIBUTING.md, and a test keeps it."""

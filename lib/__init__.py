"""What popfetch_batch is made of; the floors are in the README, and a test keeps them."""

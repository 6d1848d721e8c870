"""From the spool to what follows from a verdict: envelope, queue, settlement."""

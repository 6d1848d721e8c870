"""Our files: a module named X is X on disk, X_format its pure half; the lock and the recovery beside them."""

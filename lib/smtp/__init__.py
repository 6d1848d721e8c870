"""The receiver's side: session, transaction, the verdict table."""

"""The POP side: session, plan, retrieval, duplicates, deletions; one account's poll."""

"""dmail.conf: its grammar, its settings, the accounts and their passwords."""

"""What is told: log, outcome, terminal, status, notices."""

"""The command line and every verb that is no pass; the definitions for cron, systemd and Windows."""

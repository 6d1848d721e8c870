"""Moving in: what other fetchers' settings and memories come to here. Pure; commands/ reads and prints."""

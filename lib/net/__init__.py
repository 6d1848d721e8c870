"""The only sockets and TLS, and who is owed a reply."""

"""The octets of a message: header, addresses, who gets it, the caretaker's copy."""

"""The line: commands, or the Remote Access Service of Windows."""

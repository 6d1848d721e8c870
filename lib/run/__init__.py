"""All threads: the pass from opened stores to the last verdict."""

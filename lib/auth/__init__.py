"""Who we are: SASL mechanisms."""

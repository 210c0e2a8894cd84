"""One check alone."""

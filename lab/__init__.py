"""The kind lab: the whole platform on one machine, for trying it and for testing it."""

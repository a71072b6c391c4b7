"""One small step each, in order."""

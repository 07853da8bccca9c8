"""Training that survives interruptions and non-finite numbers."""

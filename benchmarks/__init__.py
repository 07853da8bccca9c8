"""What things cost, one command each; README.md explains the figures."""

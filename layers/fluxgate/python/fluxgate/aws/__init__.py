"""AWS services behind small classes."""

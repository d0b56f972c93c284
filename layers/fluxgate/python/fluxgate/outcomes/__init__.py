"""What clients learn of an outcome: events and webhooks."""

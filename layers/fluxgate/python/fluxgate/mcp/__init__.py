"""The Model Context Protocol: the protocol, the tools and what they do."""

"""HTTP: resolvers, problem details and static files."""

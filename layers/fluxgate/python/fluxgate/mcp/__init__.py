"""The MCP server: protocol, tools and adapter."""

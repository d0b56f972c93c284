"""Generates the OpenAPI document and its HTML page from the functions' models and the template."""

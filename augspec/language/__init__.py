"""The language: text with positions, documents checked against typed models, and their mistakes."""

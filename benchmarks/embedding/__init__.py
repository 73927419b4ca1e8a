"""The local text model: what its 8-bit form costs and saves."""

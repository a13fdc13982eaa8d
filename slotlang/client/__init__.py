"""The client of a service: keys, uploads and results of one user."""

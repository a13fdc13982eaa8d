"""The verifier: polyhedral, exact and random methods, one verdict."""

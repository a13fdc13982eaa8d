"""The service: encrypted evaluation of whole adapters over HTTP; it needs no compiler."""

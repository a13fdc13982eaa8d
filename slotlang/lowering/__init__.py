"""From a schedule to executable TenSEAL code."""

"""Units of size. Sizes travel as bytes below ``volume/api.py``; GiB exists in REST and the database only."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

"""Readers of X-ray spectrum images, one file a format, on shared ground in base, found and hdf5."""

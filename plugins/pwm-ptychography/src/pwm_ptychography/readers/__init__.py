"""Readers of ptychographic scans, one file a format, on shared ground in base, frames, motion and hdf5."""

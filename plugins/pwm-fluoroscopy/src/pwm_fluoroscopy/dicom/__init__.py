"""DICOM X-ray video."""

"""The pure DataFrame functions and the two stream applications."""

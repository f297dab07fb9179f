"""How good the detector is: attacks put into the past, and what was found."""

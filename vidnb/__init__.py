"""Recognise, localise, track, detect, segment and re-identify in video, from a notebook

Modules:

- `vidnb.core.testing`: Assertions that fail when the code is wrong, and the one contract every model signs"""

__version__ = "0.0.1"

"""Stops with a sentence where this Python is too old.

Imported before anything else, so this file keeps to what every Python can parse.
"""

import sys

NEEDED = (3, 11)


def complaint(version_info, executable):
    """Return the sentence for a Python that is too old, or None."""
    if tuple(version_info[:2]) >= NEEDED:
        return None
    found = ".".join(str(number) for number in version_info[:2])
    sentence = "minidni needs Python 3.11 or newer, but this is Python " + found + " (" + executable + "). "
    return sentence + "Install a newer one and start this command with it, as in: python3.11 " + " ".join(sys.argv)


_complaint = complaint(sys.version_info, sys.executable)
if _complaint:
    sys.exit(_complaint)

"""What is counted for ``status`` and ``check``: complete parts, fields no column holds."""

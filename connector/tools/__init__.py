"""Small general helpers: reading ahead, joining what waits, ids in little memory."""

"""What the commands do; parsing and exit codes are in ``connector.cli``."""

"""``python -m connector``: the same as the installed command."""

from connector.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

"""Every benchmark in one run: ``python -m bench`` in under ten minutes, ``python -m bench full``.

Each prints ratios side by side; what each measures is said in its module.
"""

from __future__ import annotations

import sys

from bench import growth, idle, loading, night, pace, reading


def main(full: bool) -> None:
    """Run them one after the other."""
    heading("Loading beside bare COPY, rows a second of the server's CPU")
    loading.main(45_000, 3_000, 3_000)
    heading("Reading beside a bare HTTP client")
    reading.main(50_000)
    heading("First load, idle run and nights, compared with the truth; no latency, no limit")
    night.main(*((20_000, 2_000, 3_000) if full else (4_000, 400, 600)))
    heading("Nothing changed, 100 ms of latency and 1,667 requests in ten seconds")
    idle.main(*((100_000, 5_000, 50_000) if full else (4_000, 200, 500)))
    heading("Contacts, 100 ms of latency and 1,667 requests in ten seconds")
    pace.contacts(250_000 if full else 100_000, 0.1)
    heading("Conversations with all parts, the same limit")
    pace.main(20_000 if full else 8_000)
    heading("Contacts by the size of the workspace; no latency, no limit")
    growth.main([10_000, 100_000, 1_000_000] if full else [10_000, 50_000, 200_000])


def heading(text: str) -> None:
    """A line above each table."""
    print(f"\n## {text}\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] == ["full"])

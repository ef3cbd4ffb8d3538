"""``check --facts``: whether Intercom is as it is known to be, and docs/facts.md from the table.

The report holds shapes and counts only, so that it can be sent to others.
"""

from __future__ import annotations

import json

from msgspec.structs import asdict

from connector.commands.connect import open_client
from connector.commands.terminal.screen import tell
from connector.intercom.facts import FACTS, Fact
from connector.intercom.probes import CONFIRMED, MOST_REQUESTS, REFUTED, Verdict, probe
from connector.settings import Settings

HEAD = f"""\
# What is known of Intercom

Made from `connector/intercom/facts.py` by `python -m connector.commands.facts > docs/facts.md`.

Nobody but you can ask your workspace, and Intercom changes. Each fact below is one that code rests
on. Where a run sees that one is false it takes the slow and certain way, names the fact on stderr
and in `--json` (`facts`), and ends with exit code 1 the first time. It is on record then, in
`sync_refuted_facts`, until no run has seen it for 30 days: `status` and `check` name it, later runs
with `-v` only. Where rows stay out, runs go on ending 1 until the fact is found to be true again.

`intercom-warehouse check --facts` asks your workspace for each of them, with at most
{MOST_REQUESTS} requests that only read. Its report (`--json`) holds shapes and counts and no value
of your workspace: send it to us.
"""


async def run(settings: Settings, *, as_json: bool) -> int:
    """Print a verdict on each fact; 1 if one is refuted, else 0."""
    settings.require_tokens()
    async with open_client(settings) as client:
        verdicts, requests = await probe(client)
        version = client.version
    if as_json:
        told = [asdict(one) | {"fact": one.fact.id} for one in verdicts]
        print(json.dumps({"version": version, "requests": requests, "facts": told}))
    else:
        for one in verdicts:
            tell(_line(one))
        tell(f"{requests} requests; '--json' prints a report without any value of the workspace")
    return 1 if any(one.verdict == REFUTED for one in verdicts) else 0


def _line(one: Verdict) -> str:
    told = f"{one.verdict:<10} {one.fact.id}: {one.detail}"
    return told if one.verdict == CONFIRMED else f"{told}. {one.fact.sentence}"


def document() -> str:
    """docs/facts.md."""
    return HEAD + "".join(map(_section, FACTS))


def _section(fact: Fact) -> str:
    modules = ", ".join(f"`{module}`" for module in fact.relied_on_by)
    noticed = "noticed by" if fact.is_noticed else "not noticed by runs"
    return f"""
## {fact.id}

{fact.sentence}

- known from: {fact.known_from} ({fact.surety.value})
- relied on by: {modules}
- {noticed}: {fact.guard}
- if it is false: {fact.then}
"""


if __name__ == "__main__":
    print(document(), end="")

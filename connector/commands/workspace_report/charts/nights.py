"""The charts of the sync: what each night read and wrote, how long it took, and out of which limit.

They ask the state tables of the schema; ``LIMIT`` stands in their SQL for the requests a minute.
"""

from __future__ import annotations

from msgspec.structs import replace

from connector.commands.workspace_report.charts import marks
from connector.commands.workspace_report.charts.chart import (
    DAY,
    RATE,
    SECONDS,
    SINCE,
    Chart,
    Column,
)

LIMIT = ":limit"
USUAL = 10_000  # requests a minute that Intercom allows an app
_RECENT = "(now() AT TIME ZONE m.timezone)::date - 29"
_FIRST = f"""greatest({SINCE}, (
     SELECT coalesce(min(f.started_at), now()) FROM sync_runs f)::date - 1)"""
_DAYS = f"""sync_metrics m CROSS JOIN LATERAL
     generate_series({_RECENT}, (now() AT TIME ZONE m.timezone)::date, interval '1 day') d (day)"""
_OF_DAY = "(r.started_at AT TIME ZONE m.timezone)::date = d.day"
_WRITTEN = {"inserted": "New", "updated": "Changed", "deleted": "Gone"}

_ROWS = f"""
SELECT d.day::date AS day, count(DISTINCT r.id) AS runs, coalesce(sum(x.inserted), 0) AS inserted,
       coalesce(sum(x.updated), 0) AS updated, coalesce(sum(x.deleted), 0) AS deleted,
       coalesce(sum(x.unchanged), 0) AS unchanged
FROM {_DAYS}
LEFT JOIN sync_runs r ON {_OF_DAY}
LEFT JOIN sync_run_resources x ON x.run_id = r.id
GROUP BY 1
ORDER BY 1"""
_REQUESTS = f"""
SELECT d.day::date AS day, coalesce(sum(r.requests), 0) AS requests,
       coalesce(sum(r.seconds), 0) AS seconds,
       coalesce(sum(r.requests) / sum(greatest(r.seconds, 60) / 60), 0) AS per_minute,
       coalesce(sum(r.requests) / sum(greatest(r.seconds, 60) / 60) / {LIMIT}, 0) AS share
FROM {_DAYS}
LEFT JOIN (
    SELECT s.started_at,
           extract(epoch FROM coalesce(s.finished_at, now()) - s.started_at) AS seconds,
           (SELECT coalesce(sum(x.requests), 0) FROM sync_run_resources x
            WHERE x.run_id = s.id) AS requests
    FROM sync_runs s
) r ON {_OF_DAY}
GROUP BY 1
ORDER BY 1"""

ROWS = Chart(
    "rows",
    "Rows written",
    "Rows of objects that the runs of each day found new, changed or gone, on a logarithmic scale.",
    _ROWS,
    (
        Column("day", "Day", DAY),
        Column("runs", "Runs"),
        Column("inserted", "New"),
        Column("updated", "Changed"),
        Column("deleted", "Gone"),
        Column("unchanged", "Read and the same"),
    ),
    marks.chart(
        180,
        transform=marks.fold(_WRITTEN),
        mark={"type": "bar"},
        encoding={
            "x": {
                "field": "day",
                "type": "ordinal",
                "timeUnit": "utcyearmonthdate",
                "axis": {
                    "title": None,
                    "format": "%-d %b",
                    "labelAngle": 0,
                    "labelOverlap": True,
                    "labelSeparation": 16,
                },
            },
            "xOffset": {"field": "place", "type": "nominal"},
            "y": {
                "field": "value",
                "type": "quantitative",
                "scale": {"type": "symlog", "domainMin": 0},
                "axis": {
                    "title": None,
                    "format": ",.0f",
                    "values": [0, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000],
                },
            },
            "color": marks.series(_WRITTEN),
            "tooltip": marks.TOLD,
        },
    ),
    sql_since=_ROWS.replace(_RECENT, _FIRST),
    newest_first=True,
)
_BY_DAY = dict(ROWS.spec["encoding"]["x"])
REQUESTS = Chart(
    "requests",
    "Requests of the limit",
    "Requests of each day's runs, as a share of what Intercom allows in the time that they took (a"
    " minute at the least).",
    _REQUESTS,
    (
        Column("day", "Day", DAY),
        Column("requests", "Requests"),
        Column("seconds", "Duration of all runs", SECONDS),
        Column("per_minute", "Requests a minute"),
        Column("share", "Of the limit", RATE),
    ),
    marks.chart(
        180,
        mark={"type": "bar"},
        encoding={
            "x": _BY_DAY,
            "y": marks.share("share", domainMin=0),
            "tooltip": marks.TOLD,
        },
    ),
    sql_since=_REQUESTS.replace(_RECENT, _FIRST),
    newest_first=True,
)
DURATION = replace(
    REQUESTS,
    key="duration",
    title="Duration",
    counts="How long all runs of each day took together.",
    spec=marks.chart(
        180,
        mark={"type": "bar"},
        encoding={
            "x": _BY_DAY,
            "y": marks.lasting("seconds", ("seconds",)),
            "tooltip": marks.TOLD,
        },
    ),
)
CHARTS = (ROWS, REQUESTS, DURATION)

RUNS = """
SELECT r.id, r.command, r.status, r.started_at,
       extract(epoch FROM r.finished_at - r.started_at) AS seconds, r.error,
       coalesce(sum(x.requests), 0) AS requests, coalesce(sum(x.inserted), 0) AS inserted,
       coalesce(sum(x.updated), 0) AS updated, coalesce(sum(x.deleted), 0) AS deleted
FROM sync_runs r LEFT JOIN sync_run_resources x ON x.run_id = r.id
GROUP BY r.id
ORDER BY r.id DESC
LIMIT 10"""

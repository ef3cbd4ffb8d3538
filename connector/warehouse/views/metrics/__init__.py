"""The metric views: what support and success teams ask, over the figures that are stored.

``conversations`` shows one row for each conversation, ``groups`` what comes together for admins,
teams, companies, contacts and tags, ``calendar`` what does by day and month, ``duplicates``
contacts that look alike. Definitions are in docs/metrics.md; what a word means as SQL stands in
``warehouse.metrics.words``.
"""

"""The charts as values: what each asks, how it is encoded, and what it says that it counts.

``chart`` is what a chart is, ``marks`` the vocabulary of encodings. ``conversations`` and
``groups`` hold those of the workspace, ``workspace`` their sections, ``nights`` those of the runs.
"""

"""The charts as values: what each asks, how it is encoded, and what it says that it counts.

``chart`` is what a chart is, ``marks`` the vocabulary of encodings. ``workspace`` holds those of
conversations, people and topics, ``nights`` those of the runs.
"""

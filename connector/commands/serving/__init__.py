"""``serve``: receives Intercom's notifications and keeps the warehouse in step within seconds.

``receiver`` answers HTTP in a thread and a loop of its own, so that neither a sync nor a database
that is away keeps Intercom waiting; ``health`` says how it is; ``serve`` is the command, which
starts it and keeps in step.
"""

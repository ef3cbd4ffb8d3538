"""What the commands do and print; beside ``cli`` the only room that speaks to people.

A module for each command, but ``sync`` and what runs like it stand in ``cli`` itself. They ask the
rooms below and print what these say. Read ``connect`` first, which opens the two ends as the
settings say, then the command you came for. ``terminal`` holds the streams, log and signals of the
process, ``reporting`` tells how a run goes and ended, ``workspace_report`` writes the page.
"""

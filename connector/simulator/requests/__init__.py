"""A request on its way to its handler: let in or refused, routed, counted; knows no resource.

Read ``gate`` for token, rate limit and version, ``routing`` for how a handler is found, then
``call`` for what every handler is given and answers in. ``stats`` counts what was asked.
"""

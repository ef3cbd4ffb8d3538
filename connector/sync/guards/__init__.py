"""Whether Intercom is as it is known to be; the facts themselves stand in ``intercom/facts``.

``control`` is what a search must show, ``embedded_lists`` compares a sample of lists,
``refutations`` says and keeps what a run saw to be false. What can be seen where things are read
is noticed there, by ``Pass.refute`` or ``client.facts``.
``intercom/probes`` asks for each fact, on request.
"""

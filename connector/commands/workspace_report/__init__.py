"""``report``: how the sync stands and what the workspace did, as one HTML file that opens offline.

Read ``chart``, what a chart is: its SQL, its encoding, its sentence, as a value. ``workspace`` and
``nights`` hold the charts, ``collect`` asks the database all of it in one transaction, ``page``
writes the document out of ``markup``, which escapes whatever it is given, and ``report`` is the
command. Knows nothing of Intercom but what is stored; names are whatever somebody typed there.
"""

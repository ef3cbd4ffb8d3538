"""The tests, in folders that mirror the rooms of ``connector``.

``lives`` holds whole lives of a workspace, ``reliability`` the promises under faults, ``project``
what is said of the code and by its pages; ``support`` what several of them need: a simulated
workspace beside a warehouse (``harness``), the command line as a process (``terminal``,
``service``, ``living``), what is true (``truth``), and what happens (``life``).
"""

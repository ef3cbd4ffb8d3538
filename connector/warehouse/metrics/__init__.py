"""Figures of conversations, computed from their parts once and kept beside them.

``words`` says what a reply, a close or a side is, as SQL; ``compute`` makes the figures of some
conversations, in whichever transaction changed them (``follower``), or of all of them, step by
step, when their definition or the workspace's timezone changed (``anew``). Analysts select from
the views over them: see ``warehouse.views.metrics``.
"""

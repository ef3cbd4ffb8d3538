"""Runs a search body over sorted indexes; knows no request and no path.

Read ``query`` for the grammar, then ``fields`` for what may be searched by, ``operators`` for what
each operator means and ``days`` for the days that contacts are compared by. ``results`` pages
through what was selected.
"""

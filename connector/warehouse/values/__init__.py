"""What one JSON value means as a field of COPY text; pure: no SQL library, no connection.

Read ``fields`` (one value) and ``columns`` (a column of them), then ``instants`` and
``signatures``.
"""

"""What can happen in a workspace, one module per kind of object; knows no HTTP.

Read ``base`` for what every change needs, then a kind; ``churn`` lives a whole day of them.
"""

"""What can happen in a workspace, one module per kind of object; knows no HTTP.

Read ``base`` for what every change needs, then a kind; ``churn`` makes a whole day of
them at once, ``living`` one after another. Each change tells the topics of ``webhooks`` that
Intercom has for it; what has none is silent.
"""

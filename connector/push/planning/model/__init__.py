"""Reads a model and refuses what cannot be sent; knows neither the mirror's rows nor the outbox.

``query`` is the text of the model, ``columns`` which of its columns mean what, ``stage`` copies its
rows into a temporary table, ``checks`` looks at them.
"""

from connector.push.planning.model.columns import Given, Model

__all__ = ["Given", "Model"]

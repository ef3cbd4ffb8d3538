"""With which token a request is sent; knows neither HTTP nor what is asked for.

Intercom counts requests by app, so each token has a budget of its own, and with several tokens of
one workspace more can be read in a minute. Read ``token``, what is known of one, then ``tokens``,
the one place that chooses, and ``chain``, what makes pages stay with the token that began them.
"""

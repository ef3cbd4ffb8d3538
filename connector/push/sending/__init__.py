"""Sends what is due, follows jobs, reads back; knows no SQL but what ``outbox`` offers.

``run`` is the loop; ``singly`` sends one wish, ``in_bulk`` a hundred a request; ``following`` asks
for jobs, ``confirming`` reads back what was sent, ``lookup`` decides what may have been created.
"""

"""Fills a workspace with seeded, adversarially varied records; knows no HTTP and no search.

Read ``whole`` for the order, then ``texts`` and any module that generates one kind of record.
"""

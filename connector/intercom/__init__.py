"""Speaks HTTP to Intercom; knows no table and no SQL."""

"""Fills a workspace with seeded, adversarially varied records; knows no HTTP and no search."""

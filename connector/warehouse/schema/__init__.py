"""The tables as SQLAlchemy metadata, made from the declarations; knows no rows.

``tables`` makes them; ``foreign_keys`` takes foreign keys off for a large first load and puts
them on again.
"""

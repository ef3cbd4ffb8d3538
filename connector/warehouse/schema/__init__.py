"""The tables as SQLAlchemy metadata, made from the declarations; knows no rows.

``tables`` makes them; ``relations`` tells ours from other people's, ``version`` how far a schema
was migrated, ``damage`` what others did to our tables; ``foreign_keys`` takes foreign keys off for
a large first load and puts them on again.
"""

"""The shape that Fivetran gives to Intercom's data, as views over our tables.

``shape`` lists its sixteen relations with their columns, ``columns`` has the words for that,
``rows`` says which rows they show: those that are now, or with them the versions that were.
"""

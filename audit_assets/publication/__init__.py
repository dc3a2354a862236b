"""From the published ``audit.duckdb`` to what people read: figures and one HTML report a model version.

Reads the tables of ``warehouse/schema.sql`` and computes nothing new: a figure or a sentence here repeats a number that
a query can find (``docs/sql.md``). ``read`` holds the queries, ``figures`` the drawings, ``report`` the page.
"""

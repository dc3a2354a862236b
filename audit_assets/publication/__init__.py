"""From the published ``audit.duckdb`` to what people read: the report of each model version, the index, artists' pages.

Reads the tables of ``warehouse/schema.sql``; a figure or a sentence here repeats a number that a query can find
(``docs/sql.md``), or is an interval or a similarity of such numbers. In the order of the work:

* queries: ``read`` (what was audited), ``results`` (what was measured), ``read_artist`` (one artist);
* words: ``wording`` (how numbers are said), ``verdict_words`` (a verdict in sentences), ``headline``, ``report_tables``, ``versions``;
* drawings: ``figures`` (the paper's three), ``charts`` (the others), ``svg`` (a drawing inside a page);
* pages: ``page`` and ``templates/`` (what all have in common), ``report``, ``index``, ``artist_page``.
"""

VERSION = 1
"""Of the database. Raise it if the same tables give other rows."""
REPORT_VERSION = 3
"""Of the reports and pages. Raise it if the same database gives other pages."""

"""From the published ``audit.duckdb`` to what people read: the report of each model version, the index, the artists' pages.

``stage`` writes the database and the pages. The pages read the tables of ``warehouse/schema.sql`` and nothing else: each figure
is a number that a query can find (``docs/sql.md``), or an interval or a similarity of such numbers. In the order of the work:

* ``queries/``: ``database`` (what was audited, by what), ``model`` (results of one model version), ``across_models`` (encoders on
  real works, versions compared), ``artist`` (one artist in every version);
* ``words/``: ``measures`` (what each measure is called, and which function computes it), ``numbers`` (how numbers are written),
  ``verdicts`` (a verdict in sentences), ``headline``, ``report_tables``, ``artist_tables``, ``version_tables``, ``table`` (a table of text);
* ``drawings/``: ``paper_figures`` (the paper's three), ``charts`` (the others), ``svg`` (a drawing inside a page);
* ``pages/``: ``page`` and ``templates/`` (what all pages have in common), ``report``, ``index``, ``artist``.
"""

VERSION = 1
"""Of the database. Raise it if the same tables give other rows."""
REPORT_VERSION = 21
"""Of the reports and pages. Raise it if the same database gives other pages."""
ARTISTS = "artists"
"""The folder of the artists' pages, beside the index of the reports."""

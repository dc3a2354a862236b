"""From tables of embeddings to the result tables: which images, labels and real works enter which figure.

The parent package is the method section, on arrays; these modules apply it to an audit, one module a stage. All columns
are explained in ``warehouse/schema.sql``.
"""

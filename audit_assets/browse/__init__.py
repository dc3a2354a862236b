"""The image browser: a marimo app over the published database, on loopback. An optional extra (`pip install 'audit_assets[browse]'`)."""

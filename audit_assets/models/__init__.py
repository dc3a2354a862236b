"""What is audited and what audits: entries of audit.yaml, resolved to files with their hashes, or refused."""

VERSION = 1
"""Of the tables of models and encoders. They are made again each time, so that no hash has it."""

"""Can this image model imitate this artist? The package, floor by floor; a floor imports only the floors below it.

cli/             the commands of audit-assets, one function each
browse/          the image browser, an optional extra: a marimo app over the published database
runs/            the driver of an audit, its Dagster home, runs whose process died, progress in the terminal
definitions.py   the code location that Dagster loads
defs/            Dagster objects, one module per stage: assets, checks, sensors, schedules, resources; and the alerts that they send
evidence/        manifest, verification, archive: what ties every figure to images, seeds and models
publication/     from audit.duckdb to pages: queries, words, drawings, pages
preparation/     before an audit: its file written from what a person has, and all that it names opened
results/         stage: the tables of both experiments, of verdicts and of the comparison, one recipe each
generation/      stage: imitations, drawn by a model or supplied as a folder
references/      stage: the artists' real works
encoders/        stage: images, works and labels as unit vectors
workspace.py     one opened audit: its file, protocol, warehouse and subjects
miniature/       the embedded world with a known truth, and the training of its models
roster/          who is audited: caption scan, artists, controls, proposals
models/          models and encoders of audit.yaml: resolved, hashed, refused
config/          audit.yaml and protocols, checked as a whole
protocols/       the protocols that the package has
warehouse/       files in folders or S3, seals, locks, audit.duckdb and its schema
untrusted/       files of strangers, read with care: YAML, tables, images, folders, weights
hashing.py       digests of values and of files
measurement/     the statistics: arrays in, arrays out; imports nothing of the package
errors.py        the error that a user reads and repairs
"""

"""The embedded world: synthetic artists with a known truth, and small models that were really trained on their works.

`world` draws artists, names and works from seeds. `captions` writes the captions of a web like theirs. `draw` writes an audit
folder. `training` trains the weights again (`make miniature`). An audit of any other model uses no module of this package.
"""

"""The embedded world: synthetic artists with a known truth, and the small models that were genuinely trained on them.

`world` draws artists, names and works from seeds; `captions` writes what the web would say of them; `draw` lays out an audit
folder; `training` rebuilds the weights (`make miniature`). Nothing here is used by an audit of any other model.
"""

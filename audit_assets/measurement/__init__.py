"""The method section: how images become figures, and how sure the figures are.

Arrays and DataFrames in, arrays, dataclasses and DataFrames out; no file, no database, no model. Read in this order:

* ``vectors``: what counts as an embedding, and cosine similarity in float64.
* ``identification``: experiment 1 of Casper et al. (2023, section 2.1). Is the name found again in the image?
* ``matching``: experiment 2 (section 2.2). Do real works lie closer to imitations of their own artist?
* ``multiplicity``: many artists, many tests; what an adjusted p-value can reach at all.
* ``intervals``: how far a share can be off when the ten images of one artist resemble each other.
* ``auditability``: the positive control. Can this encoder see this artist at all?

A figure here measures a capability of a model under a protocol. None of them declares an infringement.

Casper, Guo, Mogulothu, Marinov, Deshpande, Yew, Dai, Hadfield-Menell: *Measuring the Success of Diffusion Models at
Imitating Human Artists*, ICML workshop on Generative AI and Law, 2023.
"""

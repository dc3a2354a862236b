"""The method section: how images become figures, and how sure the figures are.

Arrays and DataFrames in, arrays, dataclasses and DataFrames out; no file, no database, no model. Read in this order:

* ``vectors``: what counts as an embedding.
* ``identification``: experiment 1 of Casper et al. (2023, section 2.1). Is the name found again in the image?
* ``calibration``: are its probabilities worth their name?
* ``matching``: experiment 2 (section 2.2) as the paper has it. Do real works lie closer to imitations of their own artist?
* ``exact_rank_sum``: the same test without the approximation.
* ``corrected_matching``: the tests that stay valid when imitations of one artist resemble each other.
* ``effect_sizes``: how strongly, beside how surely.
* ``multiplicity``: many artists, many tests; what an adjusted p-value can reach at all.
* ``intervals``: how far a share can be off when the ten images of one artist resemble each other.
* ``auditability``: the positive control. Can this encoder see this artist at all?
* ``verdicts``: one word an artist, by one rule.
* ``sensitivity``, ``dose_response``: what the result depends on.
* ``power``, ``simulation``: what an audit can find, and which tests keep their promise in worlds of known truth.
* ``verification``: can every figure be computed again from the rows below it?

A figure here measures a capability of a model under a protocol. None of them declares an infringement.

Casper, Guo, Mogulothu, Marinov, Deshpande, Yew, Dai, Hadfield-Menell: *Measuring the Success of Diffusion Models at
Imitating Human Artists*, ICML workshop on Generative AI and Law, 2023.
"""

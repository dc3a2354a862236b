"""The method section: how images become figures, and how sure the figures are.

Arrays and DataFrames in, arrays, dataclasses and DataFrames out; no file, no database, no model. Read in this order:

* ``vectors``: what counts as an embedding.
* ``identification``, ``classification``: experiment 1 of Casper et al. (2023, section 2.1). Is the name found again in the image?
* ``name_controls``: does the name steer the model? Identified images beside those of control names of the same stratum.
* ``calibration``: how far the probabilities of the encoder can be believed.
* ``similarities``, ``near_copies``: from works and images to one matrix; works that are the same work.
* ``own_cell``, ``studentized``: towards this artist's works? The test that decides.
* ``own_cell_companions``: name test, own rank and pairing, which assume less and see less.
* ``perfect_imitator``: could this audit have seen it? The audit run on the artist's own works.
* ``confusable``, ``auditability``: artists whom the encoder cannot tell from this one.
* ``answers``: three answers per artist, and the verdict that follows from them.
* ``discoveries``, ``multiplicity``: many artists, one list; at least how many are imitated.
* ``intervals``, ``artist_intervals``, ``effect_sizes``: how strongly, and how far a share can be off.
* ``comparison``, ``versions``: what moved between two versions of a model, and what it can be attributed to.
* ``matching``, ``exact_rank_sum``: experiment 2 as the paper has it (section 2.2), beside the test that decides.
* ``sensitivity``, ``dose_response``: what the result depends on.
* ``design``, ``power``: what an audit of a given size can find, by the rules of the run.
* ``worlds``, ``name_worlds``: audits whose truth is known, in which each test must keep its promise.
* ``verification``: can every figure be computed again from the rows below it?

A figure here measures a capability of a model under a protocol. None of them declares an infringement.

Casper, Guo, Mogulothu, Marinov, Deshpande, Yew, Dai, Hadfield-Menell: *Measuring the Success of Diffusion Models at
Imitating Human Artists*, ICML workshop on Generative AI and Law, 2023.
"""

"""This package is the method section: it says how images become figures, and how sure the figures are.

The functions take arrays and DataFrames, and return arrays, dataclasses and DataFrames. They read no file, no database
and no model. Read the modules in this order:

* ``vectors`` defines what counts as an embedding.
* ``zero_shot``, ``identification`` and ``classification`` run experiment 1 of Casper et al. (2023, section 2.1), which tests whether
  the encoder finds the name again in the image.
* ``name_controls`` tests whether the name steers the model. It compares identified images with those of control names
  of the same stratum, which ``strata`` defines.
* ``calibration`` measures how far a reader can believe the probabilities of the encoder.
* ``similarities`` turns works and images into one matrix. ``near_copies`` finds works that are the same work.
* ``copy_detection`` and ``registration`` find images that reproduce a work, and keep them apart from style.
* ``own_cell`` and ``studentized`` hold the test that decides whether the images move towards this artist's works.
* ``own_cell_companions`` holds the name test, the own rank and the pairing, which assume less and detect less.
* ``perfect_imitator`` runs the audit on the artist's own works, to test whether this audit could have seen imitation.
* ``ratings`` says what human raters found, and how far they agree.
* ``confusable`` and ``auditability`` find artists whom the encoder cannot tell from this one.
* ``answers`` gives three answers per artist, and the verdict that follows from them.
* ``discoveries`` and ``multiplicity`` judge many artists in one list, and bound from below how many are imitated.
* ``intervals``, ``artist_intervals`` and ``effect_sizes`` measure how strong an effect is, and how far a share can be
  off.
* ``comparison`` and ``versions`` report what moved between two versions of a model, and what can be its cause; ``version_power``
  says how often they would find it.
* ``matching`` and ``exact_rank_sum`` run experiment 2 as in the paper (section 2.2), beside the test that decides.
* ``sensitivity`` and ``dose_response`` report what the result depends on.
* ``design`` and ``power`` compute what an audit of a given size can find, by the rules of the run.
* ``worlds`` and ``name_worlds`` simulate audits whose truth is known, in which each test must keep its promise.
* ``verification`` checks whether each figure can be computed again from the rows below it.
* ``kernels`` holds compiled loops, and ``typed`` gives tables the columns and types of the schema.

A figure here measures a capability of a model under a protocol. No figure declares an infringement.

Casper, Guo, Mogulothu, Marinov, Deshpande, Yew, Dai, Hadfield-Menell: *Measuring the Success of Diffusion Models at
Imitating Human Artists*, ICML workshop on Generative AI and Law, 2023.
"""

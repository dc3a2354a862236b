"""Tie every figure to its images, seeds and models, check that the evidence still holds, and hand it on."""

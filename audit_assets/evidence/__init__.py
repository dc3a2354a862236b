"""Evidence: what ties every figure to its images, seeds and models; how to check that it still holds; how to hand it on."""

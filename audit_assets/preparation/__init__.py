"""Before an audit: write its file from what a person has, and open everything that the file names."""

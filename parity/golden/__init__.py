"""What one side of a pair showed, kept in a file, so that the other side can be checked without its framework."""

"""What a comparison does not see, or sees on one side only: told, so that a green does not cover it."""

"""What pytest gets from an installed `parity`: the fixture `parity_check` and all that belongs to it."""

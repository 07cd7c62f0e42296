"""The command `parity`: what it is asked, what it prints, what it writes."""

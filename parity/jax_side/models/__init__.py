"""How the engine holds a JAX side's model: a file for each kind."""

"""Layers that a JAX model holds in one array and goes through in a loop: told apart, and watched turn by turn."""

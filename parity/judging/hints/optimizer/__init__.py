"""Which option of an optimizer is otherwise: the steps of one side taken again with others."""

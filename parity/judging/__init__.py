"""From recordings to a verdict.

`distance` says how far two arrays are apart and how far is too far, `passes` judges each run of a check by that,
`where` finds where a difference starts, `hints` what it looks like, `unseen` what was not compared; `summary` makes
the verdict of all. `score` compares predictions, and `seeds` many trainings.
"""

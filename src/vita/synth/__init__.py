"""The pocket world: the pictures, clips, questions, voices and noises on which the embedded model is trained.

Everything is generated from a seed; nothing is downloaded. `vita.train` and `vita.evaluate` are the callers.
"""

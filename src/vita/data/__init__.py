"""Training data: records (the reference's JSON or our JSON Lines) -> samples (ids and labels) -> batches; packing.

Imported by train and by the data commands.
"""

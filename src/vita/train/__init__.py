"""The three training stages and the recipe that runs them. `vita train` is the caller."""

"""Many runs compared: which there are, where their results lie, how they are computed and shown."""

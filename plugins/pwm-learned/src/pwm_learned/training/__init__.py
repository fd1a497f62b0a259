"""Training of networks on generated scenes; nothing of this is needed to use them."""

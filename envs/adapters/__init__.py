"""The tasks as other libraries want them."""

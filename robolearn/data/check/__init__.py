"""What is wrong with a dataset, told in one line for each fault."""

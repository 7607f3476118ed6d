"""The tasks as environments of other libraries."""

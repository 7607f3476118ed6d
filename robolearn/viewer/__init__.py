"""Pictures, videos and the live viewer."""

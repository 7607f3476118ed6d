"""Image encoders: what their files say, and how weights of others are read. The networks are in `policies.networks`."""

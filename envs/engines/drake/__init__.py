"""Drake as a second opinion on the physics."""

"""From a robot's model (MJCF or URDF, as it is in the wild) to what training needs to know of it."""

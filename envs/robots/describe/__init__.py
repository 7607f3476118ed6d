"""From any robot's model (MJCF or URDF) to the description that training needs."""

"""Training of teacher and student, and the loop around both."""

"""How it learns: teacher, student, and the loop around both."""

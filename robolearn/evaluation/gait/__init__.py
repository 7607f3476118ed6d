"""How a legged robot moves, in figures that the eye agrees with: the same functions for policies and for recordings of people.

`anatomy` finds trunk, knees, soles and arms of any robot, `motion` follows them through a series of poses, `manner` makes figures of a
stretch of it, `study` runs a policy through standing, starts, steady walking and stops, and `targets` says which figures miss what is
wanted. docs/evaluation.md defines every figure.
"""

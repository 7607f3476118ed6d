"""Measures how a legged robot moves, in figures that agree with the eye: the same functions for policies and for recordings of people.

`anatomy` finds trunk, knees, soles and arms of any robot, `motion` follows them through a series of poses, `manner` computes figures of a
stretch of it, `study` runs a policy through standing, starts, steady walking and stops, and `targets` says which figures miss their
targets. docs/evaluation.md defines every figure.
"""

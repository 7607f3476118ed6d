"""Unitree's DDS by Cyclone DDS."""

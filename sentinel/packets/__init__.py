"""Packets taken apart: bytes in, observations out; nothing is opened and no clock is read."""

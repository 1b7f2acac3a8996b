"""The configuration file: its model, and how it is loaded."""

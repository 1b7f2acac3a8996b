"""What is kept, and how it stays true: evidence, sessions, alerts and their delivery, positions, coverage."""

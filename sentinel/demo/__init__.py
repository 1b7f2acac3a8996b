"""The bundled hour of a fictional department, and how it is played."""

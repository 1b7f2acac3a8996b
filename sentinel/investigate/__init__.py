"""Answers about the past: replay of archives and captures, and the documents that say what was found and what was not seen."""

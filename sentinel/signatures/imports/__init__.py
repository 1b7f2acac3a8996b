"""Other people's indicators as service files: STIX bundles, MISP events and plain lists. What cannot be taken over is told."""

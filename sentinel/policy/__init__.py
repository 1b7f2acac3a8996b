"""What the department allows: networks by name, sanctioned services, and the verdict on a session."""

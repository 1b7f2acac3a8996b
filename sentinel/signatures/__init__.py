"""What is looked for: services and their indicators, compiled into a matcher."""

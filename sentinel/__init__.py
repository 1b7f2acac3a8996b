"""Sentinel finds unsanctioned use of commercial face-search services from a network's logs and packets."""

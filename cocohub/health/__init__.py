"""Whether the parts of an installation answer, for load balancers (live, ready) and for people (diagnosis)."""

"""Statistics of moments: estimates, tests, power, multiplicity, shrinkage; neither charter nor rows."""

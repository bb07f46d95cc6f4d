"""Many runs under one plan: search and suite."""

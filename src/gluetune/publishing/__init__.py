"""Publish results: the GLUE leaderboard's submission, and models on the Hub."""

"""Runs on a page that can be read anywhere: one HTML file with its plots inside."""

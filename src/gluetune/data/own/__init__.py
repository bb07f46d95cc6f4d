"""The user's own labelled text: read, checked, split, and made into a task."""

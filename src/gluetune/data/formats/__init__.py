"""File formats: one record each, with functions that read and write files a row at a time.

Files may be larger than memory. An unreadable row is yielded as a `BadRow` with its line and its
fault, so that the caller decides whether to stop.
"""

"""File formats: one record each, with what reads and writes files of rows a row at a time.

Files may be larger than memory. A row that cannot be read is yielded as a `BadRow` with its line
and its fault, so that the caller decides whether to stop.
"""

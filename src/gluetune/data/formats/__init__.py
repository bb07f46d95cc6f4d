"""A user's own rows, a row at a time: CSV, JSON lines, Parquet and plain lines, read and written.

Files may be larger than memory. A row that cannot be read is handed on as a `BadRow` with its line,
so that whoever reads decides whether to stop.
"""

"""Archives: standard WARC files, indexed, searched and replayed."""

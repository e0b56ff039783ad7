"""The crawler: a site, politely, into an archive; resumable."""

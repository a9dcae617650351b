"""Data for tuning: read, judged, cleaned, tokenised once, kept under the digest of all that made it."""

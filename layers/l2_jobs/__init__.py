"""L2: jobs that survive: queued, placed, watched, diagnosed, and resumed from what was proved."""

"""What went wrong with a job: the classes of faults, the catalogue of their signs, and the reader of logs."""

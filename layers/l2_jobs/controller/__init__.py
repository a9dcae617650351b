"""The controller: observe, decide, write down in one transaction, act. It alone changes what a job is."""

"""L3: from a folder of data to a tuned model. Data is checked and prepared, recipes compile to jobs of L2."""

"""The bundle: everything a deploy needs, in one signed folder, so that only building it needs the internet."""

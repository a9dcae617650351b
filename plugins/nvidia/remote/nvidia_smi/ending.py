"""How the tool ends early."""


class Finished(Exception):  # noqa: N818 - an end, not an error
    """Says something, and ends with an exit status."""

    def __init__(self, status, text=""):
        Exception.__init__(self, text)
        self.status = status
        self.text = text

"""The one error that the lab shows to its users."""


class LabError(Exception):
    """Something failed; says what, on what and why, and what to do next.

    Args:
        what: What failed, on what, and why.
        fix: The next step for the reader, a command where there is one.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

"""What the checks of ``gxpo doctor`` found."""


def levels(findings):
    return [finding.level for finding in findings]

"""STAN and batch numbers: they wrap from 999999 to 1, and never repeat where it matters (money rule M8)."""

LAST = 999999


def following(number):
    """The number after `number`, 1 to 999999."""
    return number + 1 if number < LAST else 1


def exhausted(used):
    """True if a batch that has consumed `used` STANs could repeat one: it must be settled first."""
    return used >= LAST

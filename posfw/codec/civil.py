"""Civil time from Unix seconds and back, the same on every port (MicroPython's epochs differ: 1970 or 2000).

Algorithms: days of the proleptic Gregorian calendar counted from 0000-03-01, so that the leap day ends the year.
"""


def civil(rtc, offset_min):
    """Local (year, month, day, hour, minute, second) of `rtc` (seconds since 1970 UTC), `offset_min` minutes east
    of UTC.
    """
    local = rtc + offset_min * 60
    days, second = local // 86400 + 719468, local % 86400
    era, doe = days // 146097, days % 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    shifted = (5 * doy + 2) // 153
    day = doy - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = yoe + era * 400 + (1 if month <= 2 else 0)
    return year, month, day, second // 3600, second // 60 % 60, second % 60


def unix(year, month, day, hour, minute, second, offset_min):
    """Seconds since 1970 UTC of a local civil time."""
    year -= 1 if month <= 2 else 0
    era, yoe = year // 400, year % 400
    shifted = month - 3 if month > 2 else month + 9
    doy = (153 * shifted + 2) // 5 + day - 1
    days = era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
    return days * 86400 + hour * 3600 + minute * 60 + second - offset_min * 60


def host_time(mmdd, hhmmss, near, offset_min):
    """Seconds since 1970 UTC of a host's DE13 and DE12, which have no year: the one nearest to `near`. 0 if not a
    date.
    """
    if len(mmdd) != 4 or len(hhmmss) != 6 or not (mmdd + hhmmss).isdigit():
        return 0
    month, day = int(mmdd[:2]), int(mmdd[2:])
    hour, minute, second = int(hhmmss[:2]), int(hhmmss[2:4]), int(hhmmss[4:])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return 0
    year = civil(near, offset_min)[0]
    best = 0
    for candidate in (year - 1, year, year + 1):
        t = unix(candidate, month, day, hour, minute, second, offset_min)
        if abs(t - near) < abs(best - near):
            best = t
    return best

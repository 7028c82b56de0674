"""When to try again, and how slow the network is (money rule M11). Pure arithmetic on milliseconds."""


def backoff(tries, base_ms, max_ms, rnd):
    """Exponential backoff with jitter: base * 2^tries, bounded by max, spread over 75 % to 125 % by `rnd` (any
    uint).
    """
    delay = base_ms << min(tries, 16)
    if delay > max_ms:
        delay = max_ms
    return delay - delay // 4 + rnd % (delay // 2 + 1)


def rtt_update(srtt, rttvar, sample):
    """Fold one round trip into (srtt, rttvar), in ms. RFC 6298 section 2, alpha 1/8 and beta 1/4."""
    if srtt == 0:
        return max(1, sample), sample // 2
    rttvar = (3 * rttvar + abs(srtt - sample)) // 4
    return max(1, (7 * srtt + sample) // 8), rttvar


def rtt_bound(srtt, rttvar):
    """SRTT + 4 * RTTVAR: beyond this a reply is late by the network's own measure. 0 if nothing was measured."""
    return srtt + 4 * rttvar if srtt else 0

"""decide(state, profile, event, now) -> (entries to append, effects to perform). No I/O, no clock, no randomness.

An event is a tuple: its name, then its arguments; the handlers' parameters are the documentation. An entry draft is
(kind, body) or (kind, body, secret): the secret goes to the vault before the entry goes to the journal.
An effect is a tuple:

    ("connect", txn)             build the reversal and open the link, then ("connected",), ("connect_failed",),
                                 ("mac_lost",), or ("reversal_replied",) where its data are lost
    ("dial", txn)                open the link only, then ("reverse", ..., 1) or ("connect_failed",)
    ("no_key", txn)              the sign-on failed: ("connect_failed",)
    ("hold", txn, ms, count)     do not try this one again for ms; count failures are not journaled yet
    ("send", purpose, txn)       exchange a message, then ("replied",), ("reversal_replied",), ("signon_replied",)
                                 or ("connect_failed",)
    ("card", txn)                let the card finish, then ("card_done",)
    ("print", txn, slip, again)  print, then ("printed",)
    ("set_clock", rtc, quality)
    ("show", key, *args)         tell the cashier
    ("again", event)             decide this event next
    ("done", ok, key, txn)       the operation's result

txn None means the transaction whose INTENT was just appended.
"""

from posfw.engine import payment, printing, reversal, upkeep

PAY, UNDO, SIGN_ON = 1, 2, 3


def decide(state, profile, event, now):
    """Return (drafts, effects) for one event. now: (ms, rtc, rtc_quality). Raises KeyError on an unknown event."""
    return _HANDLERS[event[0]](state, profile, now, *event[1:])


_HANDLERS = {
    "boot": upkeep.boot,
    "configure": upkeep.configure,
    "signon": upkeep.sign_on,
    "signon_replied": upkeep.sign_on_replied,
    "clock_set": upkeep.clock_set,
    "tamper": upkeep.tamper,
    "fault": upkeep.fault,
    "export": upkeep.export,
    "pay": payment.pay,
    "replied": payment.replied,
    "card_done": payment.card_done,
    "cancel": payment.cancel,
    "stray": payment.stray,
    "unsendable": payment.unsendable,
    "conclude": payment.conclude_open,
    "reverse": reversal.reverse,
    "connected": reversal.connected,
    "connect_failed": reversal.connect_failed,
    "mac_lost": reversal.mac_lost,
    "reversal_replied": reversal.replied,
    "human": reversal.human,
    "print": printing.start,
    "printed": printing.printed,
}


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
    ("print", txn, slip, again)  print, then ("printed",); of a batch's slip txn is the number of the entry it is about
    ("settle_dial",)             open the link, then ("settle", ..., 1) or ("settle_failed",)
    ("settle_no_key",)           the sign-on failed: ("settle_failed",)
    ("settle_send",)             build and exchange the settlement's message, then ("settle_replied",) or a failure
    ("gather", most)             find the next records to upload, at most so many, then ("gathered",)
    ("shred", batch)             move what is still owed, erase the batch's vault key, then ("shredded",)
    ("set_clock", rtc, quality)
    ("show", key, *args)         tell the cashier
    ("again", event)             decide this event next
    ("done", ok, key, txn)       the operation's result

txn None means the transaction whose INTENT was just appended.
"""

from posfw import overlay
from posfw.engine import payment, printing

PAY, UNDO, SIGN_ON = 1, 2, 3


def decide(state, profile, event, now):
    """Return (drafts, effects) for one event. now: (ms, rtc, rtc_quality). Raises KeyError on an unknown event."""
    name = event[0]
    handler = payment.HANDLERS.get(name) or printing.HANDLERS.get(name)
    if handler is None:
        # What a sale does not need is loaded when it is wanted, and dropped when a slip needs the room.
        from posfw.engine import reversal

        handler = reversal.HANDLERS.get(name)
    if handler is None:
        from posfw.engine import upkeep

        handler = upkeep.HANDLERS.get(name)
    if handler is None:
        overlay.use(overlay.BATCH)
        from posfw.engine import batch_care, settlement

        handler = settlement.HANDLERS.get(name) or batch_care.HANDLERS[name]
    return handler(state, profile, now, *event[1:])

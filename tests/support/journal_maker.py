"""Makes valid journals from docs/journal-format.md alone, and damages them in every way the verifier must name.

Shares no code with posfw or posaudit: cbor2, hashlib, hmac and cryptography only.
"""

import hashlib
import hmac
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MASTER = bytes(range(32))
TERMINAL = "POS-0042"
JOURNAL_ID = bytes.fromhex("00112233445566778899aabbccddeeff")
NONCE = bytes.fromhex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "journal-format.md"

BOOT, CLOCK, CONFIG, SIGNON, SNAPSHOT, INTENT, REPLY, OUTCOME = range(1, 9)
CONNECT_FAIL, REVERSAL_SENT, REVERSAL_REPLY, UNRESOLVED, HUMAN, SLIP = range(9, 15)
SETTLE_SENT, SETTLE_REPLY, UPLOAD_REPLY, BATCH_CLOSED, VAULT_DESTROYED = range(15, 20)
TAMPER, EXPORT, FAULT, UNSETTLED = 20, 21, 24, 25
UNIONPAY, ISO_1987 = "122010", "132010"  # how the two shipped profiles count

NOON = 1_780_286_400  # 2026-06-01 04:00:00 UTC, 12:00 in Shanghai


def hkdf(ikm, salt, info):
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(ikm)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def seal(key, head, payload):
    """COSE_Mac0 as section 2 has it, from its RFC 9052 structure, not from its bytes."""
    protected = cbor2.dumps({1: 5})
    structure = cbor2.dumps(["MAC0", protected, head, payload])
    tag = hmac.new(key, structure, hashlib.sha256).digest()
    return cbor2.dumps([protected, {}, payload, tag])


class Maker:
    """One terminal writing its journal. `add` returns the entry's sequence number."""

    def __init__(self, terminal_id=TERMINAL, journal_id=JOURNAL_ID, master=MASTER):
        self.terminal_id, self.journal_id, self.master = terminal_id, journal_id, master
        self.keys = [hkdf(master, journal_id, b"posfw/seal/1" + terminal_id.encode())]
        self.heads = [sha(b"posfw/genesis/1", journal_id)]  # heads[i] is the head before entry i
        self.entries = []
        self.payloads = []
        self.boot, self.ms, self.rtc, self.quality = 1, 0, NOON, 2

    @property
    def seq(self):
        return len(self.entries)

    def add(self, kind, body, wait=1000):
        self.ms += wait
        self.rtc += wait // 1000
        payload = [self.seq, kind, self.boot, self.ms, self.rtc, self.quality, body]
        return self.add_raw(cbor2.dumps(payload), payload)

    def add_raw(self, payload, decoded=None):
        entry = seal(self.keys[-1], self.heads[-1], payload)
        self.entries.append(entry)
        self.payloads.append(decoded)
        self.heads.append(sha(self.heads[-1], entry))
        self.keys.append(sha(b"posfw/ratchet/1", self.keys[-1]))
        return self.seq - 1

    def power_cycle(self, unclean=0):
        self.boot += 1
        self.ms = 0
        return self.add(BOOT, ["1.0.0", 1, unclean])

    def export(self, nonce=NONCE, role=1):
        return self.add(EXPORT, [nonce, role])

    def manifest(self, **changes):
        last = (
            self.payloads[-1][6]
            if self.payloads and self.payloads[-1] and self.payloads[-1][1] == EXPORT
            else [NONCE, 1]
        )
        values = {
            "terminal_id": self.terminal_id,
            "journal_id": self.journal_id,
            "nonce": last[0],
            "first_seq": 0,
            "count": self.seq,
            "head": self.heads[-1],
            "tier": "mac",
            "role": last[1],
        }
        values.update(changes)
        return cbor2.dumps(["posj", 1, *values.values()])

    def file(self, entries=None, **changes):
        """The .posj bytes; with other `entries` the manifest is made to fit them, as an attacker would."""
        if entries is None:
            return self.manifest(**changes) + b"".join(self.entries)
        head = sha(b"posfw/genesis/1", self.journal_id)
        for entry in entries:
            head = sha(head, entry)
        changes = {"count": len(entries), "head": head, **changes}
        return self.manifest(**changes) + b"".join(entries)

    def offset(self, index, entries=None):
        """Byte offset of the entry at `index` in the file."""
        return len(self.manifest()) + sum(map(len, (entries or self.entries)[:index]))

    # -- what a terminal goes through

    def begin(self, utc_offset_min=480, counting=UNIONPAY):
        """counting None: a CONFIG from before settlement."""
        where = [self.terminal_id, "80000042", "898310000000042", "TEA HOUSE 茶馆"]
        how = [] if counting is None else [counting]
        self.add(CONFIG, [*where, "unionpay", bytes(32), utc_offset_min, "156", *how])
        self.add(BOOT, ["1.0.0", 1, 0])
        self.add(SIGNON, [1, 0, "", ""])
        self.add(SIGNON, [1, 1, "00", "260601120003"])
        return self

    def intent(self, stan, batch=1, amount=12800, kind=1, original=None, mode=5, scheme=1):
        return self.add(
            INTENT,
            [
                stan,
                batch,
                kind,
                amount,
                "156",
                mode,
                "622848******1234" if scheme < 2 else "400000******0002",
                scheme,
                "A000000333010101",
                original,
                "01",
                sha(b"vault", bytes([stan & 255]))[:8],
            ],
        )

    def approved_sale(self, stan, batch=1, amount=12800, kind=1, original=None, slip=1, mode=5, scheme=1):
        txn = self.intent(stan, batch, amount, kind, original, mode, scheme)
        self.add(REPLY, [txn, 1, stan, "00", f"{stan:012}", f"A{stan:05}", 640])
        self.add(OUTCOME, [txn, 1, 0, "", 0])
        self.slip(txn, slip)
        return txn

    def declined_sale(self, stan, batch=1, amount=9900):
        txn = self.intent(stan, batch, amount)
        self.add(REPLY, [txn, 1, stan, "51", f"{stan:012}", "", 700])
        self.add(OUTCOME, [txn, 2, 7, "", 0])
        self.slip(txn, 4)
        return txn

    def slip(self, txn, slip, fault=0):
        self.add(SLIP, [txn, slip, 1, 0])
        self.add(SLIP, [txn, slip, 3 if fault else 2, fault])

    def silent_sale(self, stan, batch=1, amount=10000):
        """A sale whose reply never comes: a reversal is owed."""
        txn = self.intent(stan, batch, amount)
        self.add(REPLY, [txn, 2, None, "", "", "", 30000], wait=30000)
        self.add(OUTCOME, [txn, 3, 3, "98", 0])
        self.slip(txn, 5)
        return txn

    def reverse(self, txn, attempt=1, verdict=1, code="00", retry=0):
        self.add(REVERSAL_SENT, [txn, attempt, "98"])
        self.add(REVERSAL_REPLY, [txn, verdict, code, "", 500, retry])
        if verdict == 1:
            self.slip(txn, 6)

    def original(self, txn):
        """What a void or refund of `txn` carries of it."""
        body = self.payloads[txn][6]
        return [txn, body[1], body[0], "0601", f"{body[0]:012}", f"A{body[0]:05}", body[3]]

    # -- settlement

    def settle(self, batch=1, reason=1):
        """Close of day begun; returns the settlement's number."""
        return self.add(SETTLE_SENT, [0, batch, 0, [reason], 0])

    def totals(self, stan, totals, batch=1, flags=(1, 1), then=5, host=(), verdict=1, code="00", retry=0):
        """Totals sent and answered; verdict 0: no reply at all."""
        sent = self.add(SETTLE_SENT, [1, batch, stan, list(totals), 0])
        if verdict:
            self.totals_reply(stan, flags, then, host, verdict, code, retry)
        return sent

    def totals_reply(self, stan, flags=(1, 1), then=5, host=(), verdict=1, code="00", retry=0):
        return self.add(SETTLE_REPLY, [1, stan, verdict, code, list(flags), list(host), then, 600, retry])

    def upload(self, stan, numbers, codes=None, refused=(), batch=1, verdict=1, purpose=2):
        sent = self.add(SETTLE_SENT, [purpose, batch, stan, list(numbers), 0 if purpose == 4 else self.seq])
        if verdict:
            self.upload_reply(stan, numbers, codes, refused, verdict, purpose)
        return sent

    def upload_reply(self, stan, numbers, codes=None, refused=(), verdict=1, purpose=2):
        codes = codes if codes is not None else ["00"] * len(numbers) if verdict == 1 else []
        code = "00" if verdict == 1 else "30" if verdict == 11 else ""
        retry = 0 if verdict in (1, 11) else 15000
        return self.add(UPLOAD_REPLY, [purpose, stan, verdict, code, codes, list(refused), 550, retry])

    def end(self, stan, count, batch=1, then=5, code="00", verdict=1):
        self.add(SETTLE_SENT, [3, batch, stan, [count], 0])
        self.add(SETTLE_REPLY, [3, stan, verdict, code, [], [], then, 500, 0 if then else 15000])

    def close(self, totals, batch=1, how=1, host=(), flags=(1, 1), uploaded=0, refused=0, unresolved=0, moved=0):
        """The batch's end: BATCH_CLOSED, its slip, the vault key destroyed. Returns the BATCH_CLOSED entry's number."""
        body = [batch, how, list(totals), list(host), list(flags), uploaded, refused, unresolved, batch % 999999 + 1]
        closed = self.add(BATCH_CLOSED, body)
        self.slip(closed, 9)
        self.add(VAULT_DESTROYED, [batch, moved])
        return closed

    def unsettled(self, cause, code="", number=0, batch=1, slip=10):
        seq = self.add(UNSETTLED, [batch, cause, code, number])
        self.slip(seq, slip)
        return seq

    def decide(self, number, decision, name="Li Wei", reason="agreed by phone"):
        return self.add(HUMAN, [number, decision, name, reason, b"\x84" + bytes(60)])


def small():
    """A short journal: begin, one approved sale, a power cut, an export."""
    maker = Maker().begin()
    maker.approved_sale(2)
    maker.power_cycle(unclean=1)
    maker.export()
    return maker


def day():
    """A day with everything that leaves a trace: approved, declined, reversed, unresolved, decided, void, faults."""
    m = Maker().begin()
    first = m.approved_sale(2, amount=12800)
    m.declined_sale(3)
    silent = m.silent_sale(4, amount=10000)
    m.add(CONNECT_FAIL, [silent, 2, 15000, 1])
    m.reverse(silent)
    m.power_cycle(unclean=3)
    late = m.silent_sale(5, amount=5000)
    m.add(REPLY, [late, 6, 5, "00", "000000000005", "A00005", 41000])
    for attempt in (1, 2, 3, 4):
        m.reverse(late, attempt, verdict=2, code="", retry=15000 << attempt)
    m.add(UNRESOLVED, [late, 4, 3])
    m.slip(late, 7)
    m.slip(late, 8, fault=1)
    void = m.intent(6, amount=12800, kind=2, original=[first, 1, 2, "0601", "000000000002", "A00002", 12800])
    m.add(CONNECT_FAIL, [void, 2, 0, 1])
    m.add(OUTCOME, [void, 4, 1, "", 0])
    m.add(CLOCK, [m.rtc, m.rtc + 60, 2])
    m.add(FAULT, [4, 2, 1])
    m.add(TAMPER, [1])
    m.add(HUMAN, [late, 1, "Zhang San", "confirmed by phone", b"\x84" + bytes(60)])
    m.slip(late, 14)
    m.approved_sale(2, batch=2, amount=777)
    m.export(role=2)
    return m


def balanced_day():
    """Two domestic sales, one international, a refund: totals agreed at once, one silence before."""
    m = Maker().begin()
    m.approved_sale(2, amount=10000)
    m.approved_sale(3, amount=2500, mode=2)
    m.approved_sale(4, amount=7000, scheme=2)
    m.approved_sale(5, amount=500, kind=3, slip=3)
    m.declined_sale(6)
    totals = [12500, 2, 500, 1, 7000, 1, 0, 0]
    m.settle()
    m.add(CONNECT_FAIL, [None, 2, 15000, 1])
    m.totals(7, totals, verdict=2, code="", flags=(), then=0, retry=15000)
    m.power_cycle()
    m.totals_reply(7, host=totals)
    m.close(totals, host=totals)
    m.export()
    return m


def upload_day():
    """Totals that differ, an upload in two messages with a silence, a refused record, one that is then taken when it is
    presented again in the next batch, one that is written off. Returns (maker, {name: number})."""
    m = Maker().begin()
    sales = [m.approved_sale(stan, amount=stan * 1000) for stan in (2, 3, 4, 5)]
    refused, hopeless = sales[1], sales[3]
    totals = [14000, 4, 0, 0, 0, 0, 0, 0]
    host = [11000, 3, 0, 0, 0, 0, 0, 0]
    begun = m.settle(reason=2)
    m.totals(6, totals, flags=(2, 1), then=2, host=host, code="00")
    differ = m.unsettled(10, "00")
    m.upload(7, sales[:2], ["00", "30"], [1])
    first = m.unsettled(11, "30", refused, slip=16)
    m.upload(8, sales[2:], verdict=2)
    m.power_cycle(1)
    m.upload_reply(8, sales[2:], ["94", "12"], [1])
    m.unsettled(11, "12", hopeless, slip=16)
    m.end(9, 4)
    closed = m.close(totals, how=2, host=host, flags=(2, 1), uploaded=2, refused=2, moved=2)
    later = m.approved_sale(10, batch=2, amount=100)
    again = m.upload(11, [refused], ["00"], purpose=4)
    written = m.decide(hopeless, 4)
    m.slip(written, 14)
    m.export()
    names = {"begun": begun, "differ": differ, "refused": refused, "hopeless": hopeless, "first": first,
             "closed": closed, "later": later, "again": again, "written": written, "good": sales[0]}  # fmt: skip
    return m, names


# -- CDDL


def cddl_schemas():
    """pycddl schemas from the published block: (entry, payload, {rule: body})."""
    import pycddl

    text = DOCS.read_text(encoding="utf-8").split("```cddl\n", 1)[1].split("```", 1)[0]
    bodies = [line.split(" = ")[0] for line in text.splitlines() if line.split(" = ")[0].endswith("-body")]
    bodies.remove("any-body")
    # The block is right; the validator behind pycddl is not. It panics on a byte string literal inside an array, lets
    # any map pass for {}, takes a member's name for the rule of that name, and reads a choice in an array wrongly
    # unless it has a name and no array in it. So rules are renamed and split here; the entry's rule is given alone, the
    # test compares its two headers byte for byte, and what a body may hold is left to the rule of its kind.
    for inline, rule in (
        ("original: original / null", "original: REF"),
        ("uint / null", "maybe-uint"),
        ("original = [", "original-ref = ["),
        ("any-body ]", "any ]"),
        ("? counting:", "counting:"),  # takes one optional item for an array of at most one
    ):
        assert inline in text
        text = text.replace(inline, rule)
    text += "\nmaybe-uint = uint / null\n"
    older = text.replace(',\n                counting: tstr .regexp "[0-3]{6}" ]', " ]")
    assert older != text
    linked, text = text.replace("REF", "original-ref"), text.replace("REF", "null")
    entry = text.split("\n\n")[0].replace("h'A10105'", "bstr .size 3")
    assert "bstr .size 3" in entry
    by_kind = {name: pycddl.Schema(f"start = {name}\n{text}") for name in bodies}
    by_kind["config-body without counting"] = pycddl.Schema(f"start = config-body\n{older.replace('REF', 'null')}")
    by_kind["intent-body with original"] = pycddl.Schema(f"start = intent-body\n{linked}")
    return pycddl.Schema(entry), pycddl.Schema("start = payload\n" + text), by_kind


# -- damage: (name, expected class, function of a Maker that returns file bytes)


def edit_payload(m, index=6):
    entries = list(m.entries)
    raw = bytearray(entries[index])
    raw[-40] ^= 1
    entries[index] = bytes(raw)
    return m.file(entries)


def edit_tag(m, index=6):
    entries = list(m.entries)
    entries[index] = entries[index][:-1] + bytes([entries[index][-1] ^ 1])
    return m.file(entries)


def insert_forged(m, index=6):
    entries = list(m.entries)
    entries.insert(index, seal(bytes(32), m.heads[index], cbor2.dumps([*m.payloads[index][:6], [2]])))
    return m.file(entries)


def insert_copy(m, index=6):
    entries = list(m.entries)
    entries.insert(index, entries[index - 3])
    return m.file(entries)


def insert_junk(m, index=6):
    entries = list(m.entries)
    entries.insert(index, b"\x00junk" * 9)
    return m.file(entries, count=len(entries) - 1)


def delete_one(m, index=6):
    return m.file(m.entries[:index] + m.entries[index + 1 :])


def delete_first(m):
    return m.file(m.entries[1:])


def swap(m, index=6):
    entries = list(m.entries)
    entries[index], entries[index + 1] = entries[index + 1], entries[index]
    return m.file(entries)


def move_to_end(m, index=6):
    entries = list(m.entries)
    entries.insert(len(entries) - 1, entries.pop(index))
    return m.file(entries)


def truncate_entries(m):
    return m.file(m.entries[:-2])


def truncate_bytes(m):
    return m.file()[:-20]


def truncate_export(m):
    return m.file(m.entries[:-1])


def cut_off_keeping_manifest(m):
    return m.manifest() + b"".join(m.entries[:8])


def foreign_terminal(m):
    return Maker("POS-9999", bytes(16), m.master).begin().file()


def foreign_entries(m):
    """Another terminal's entries under this one's manifest."""
    other = Maker("POS-0043", bytes(15) + b"\x01", m.master).begin()
    other.export()
    return m.file(other.entries)


def splice_other_half(m, index=8):
    """The head of one pull, the tail of a fork that shares its first entries (device put back, then gone on)."""
    fork = Maker().begin()
    fork.ms -= 3000
    fork.declined_sale(2)
    fork.approved_sale(3)
    fork.export()
    fork_tail = [e for e, p in zip(fork.entries, fork.payloads, strict=True) if p[0] >= index]
    return m.file(m.entries[:index] + fork_tail)


def splice_second_file(m):
    return m.file(m.entries[:8]) + m.file()


def splice_segment_again(m, index=9):
    return m.file(m.entries[:index] + m.entries[3:index])


def reseal(m, index=6):
    """Journald's first flaw: entries rewritten under the key that is live now."""
    live = m.keys[-1]
    entries, head = m.entries[:index], m.heads[index]
    for payload in m.payloads[index:]:
        body = payload[6]
        if payload[0] == index:
            body = [body[0], 1, 0, "", 0]
        entry = seal(live, head, cbor2.dumps([*payload[:6], body]))
        entries.append(entry)
        head = sha(head, entry)
    return m.file(entries)


def unsealed_payloads(m, index=6):
    entries = list(m.entries)
    entries[index:] = [cbor2.dumps(p) for p in m.payloads[index:]]
    return m.file(entries)


def unsealed_zero_tags(m, index=6):
    return m.file(m.entries[:index] + [e[:-32] + bytes(32) for e in m.entries[index:]])


def unsealed_short_tag(m, index=6):
    return m.file(m.entries[:index] + [e[:-34] + b"\x40" for e in m.entries[index:]])


def unsealed_nothing(m):
    return m.file([])


def other_nonce(m):
    """An older pull with the nonce of a newer question written into its manifest."""
    return m.file(nonce=bytes(16))


DAMAGE = [
    (edit_payload, "edit"),
    (edit_tag, "edit"),
    (insert_forged, "insert"),
    (insert_copy, "insert"),
    (insert_junk, "insert"),
    (delete_one, "delete"),
    (delete_first, "delete"),
    (swap, "reorder"),
    (move_to_end, "reorder"),
    (truncate_entries, "truncate"),
    (truncate_bytes, "truncate"),
    (truncate_export, "truncate"),
    (cut_off_keeping_manifest, "truncate"),
    (foreign_terminal, "foreign"),
    (foreign_entries, "foreign"),
    (splice_other_half, "splice"),
    (splice_second_file, "splice"),
    (splice_segment_again, "splice"),
    (reseal, "re-seal"),
    (unsealed_payloads, "unsealed"),
    (unsealed_zero_tags, "unsealed"),
    (unsealed_short_tag, "unsealed"),
    (unsealed_nothing, "unsealed"),
    (other_nonce, "rollback"),
]

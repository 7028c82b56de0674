"""A terminal in RAM: a board whose parts refuse what hardware refuses, and a host that can be told to misbehave.

Time moves only when something waits, so a run is reproducible. Used by the tests of this folder on both interpreters.
"""

from board.emulated.nor import NorFlash
from posfw.acquirer.profile import load
from posfw.codec import cbor
from posfw.codec.civil import civil
from posfw.codec.iso8583 import Spec
from posfw.crypto.aes import ecb_decrypt, ecb_encrypt
from posfw.crypto.cmac import Cmac
from posfw.crypto.hkdf import hkdf
from posfw.crypto.mac import same
from posfw.hal import STAGE_CONNECT, STAGE_SEND, KeyStoreError, LinkError, PrinterError
from posfw.journal import seal
from posfw.numbers import MODE_CHIP, SALE, SUPERVISOR
from posfw.terminal import Terminal

_MAC_SIZE = 8
MASTER = b"auditor master key, 32 bytes...."
JOURNAL_ID = bytes(range(16))
TERMINAL_ID = "T-0001"
TMK = b"terminal master!"
START = 1795406400  # 2026-11-23 12:00:00, UTC+8
PAN = "6222020000001234567"
SETTINGS = {
    "tid": "12345678", "mid": "123456789012345", "merchant": "测试商户", "utc_offset_min": 480, "currency": "156",
}  # fmt: skip
PROFILES = "posfw/acquirer/profiles/"
VISA = "4761340000000019"  # international by its first digit

_MONEY = ("sale", "void", "refund", "preauth", "completion", "preauth_void")
_SETTLING = ("settlement", "upload", "upload_chip", "upload_end")
# Digits or characters of what the profiles join into one field
_WIDTHS = {
    "batch": 6, "stan": 6, "record_stan": 6, "record_count": 4, "type_code": 2, "type_mti": 4, "balance_code": 3,
    "orig_batch": 6, "orig_stan": 6, "orig_date": 4, "date0000": 4,
}  # fmt: skip


class PowerCut(BaseException):
    """Raised where the simulated supply fails; nothing that handles errors may catch it."""


class SimClock:
    def __init__(self, rtc=START):
        self.ms, self.rtc, self.quality, self.rest = 0, rtc, 1, 0

    def now(self):
        return self.ms, self.rtc, self.quality

    def ticks(self):
        return self.ms

    def set(self, rtc, quality):
        self.rtc, self.quality = rtc, quality

    def advance(self, ms):
        self.ms += ms
        self.rest += ms
        self.rtc += self.rest // 1000
        self.rest %= 1000

    def restart(self):
        self.ms = 0


class SimKeyStore:
    def __init__(self):
        self.index, self.key = 0, hkdf(MASTER, JOURNAL_ID, b"posfw/seal/1" + TERMINAL_ID.encode(), 32)
        self.vault = {}
        self.mac_key = None
        self.gone = False
        self.on_advance = self.on_vault = None

    def _ready(self):
        if self.gone:
            raise KeyStoreError("zeroised")

    def identity(self):
        self._ready()
        return TERMINAL_ID, JOURNAL_ID

    def seal(self):
        self._ready()
        return self.index, self.key

    def advance(self, index, key):
        self._ready()
        if index != self.index + 1:
            raise KeyStoreError("the seal moves by one")
        if self.on_advance:
            self.on_advance()
        self.index, self.key = index, key

    def role_key(self, role):
        self._ready()
        name = ("technician", "auditor", "supervisor")[role - 1]
        return hkdf(MASTER, JOURNAL_ID, b"posfw/role/" + name.encode() + b"/1" + TERMINAL_ID.encode(), 32)

    def vault_key(self, batch):
        self._ready()
        if batch not in self.vault:
            raise KeyStoreError("no vault key")
        return self.vault[batch]

    def new_vault_key(self, batch, key):
        self._ready()
        if self.on_vault:
            self.on_vault()
        self.vault[batch] = key

    def erase_vault_key(self, batch):
        if self.on_vault:
            self.on_vault()
        self.vault.pop(batch, None)

    def install_mac_key(self, wrapped, check):
        self._ready()
        key = ecb_decrypt(TMK, wrapped)
        if not same(Cmac(key).mac(bytes(16))[: len(check)], check):
            return False
        self.mac_key = key
        return True

    def cmac(self, *parts):
        self._ready()
        if self.mac_key is None:
            raise KeyStoreError("no MAC key")
        return Cmac(self.mac_key).mac(*parts)

    def zeroise(self):
        self.gone, self.key, self.vault, self.mac_key = True, None, {}, None


class SimPrinter:
    """Keeps (slip, seq, bytes, complete); `paper` is how many writes until it is out, None for endless."""

    def __init__(self):
        self.slips, self.paper, self.on_write = [], None, None

    def begin(self, slip, seq):
        self.slips.append([slip, seq, b"", False])

    def write(self, data):
        if self.on_write:
            self.on_write()
        if self.paper is not None:
            if self.paper == 0:
                raise PrinterError(1, "paper out")
            self.paper -= 1
        self.slips[-1][2] += data

    def end(self):
        self.slips[-1][3] = True

    def fault(self):
        return 1 if self.paper == 0 else 0

    def kinds(self):
        return [slip[0] for slip in self.slips if slip[3]]


class SimUsb:
    """Two byte queues: `to_device` and `from_device`."""

    def __init__(self):
        self.to_device, self.from_device, self.room = b"", b"", 1 << 30

    def readinto(self, buf):
        n = min(len(buf), len(self.to_device))
        buf[:n] = self.to_device[:n]
        self.to_device = self.to_device[n:]
        return n

    def write(self, buf):
        n = min(self.room, len(buf))
        self.from_device += bytes(buf[:n])
        return n


class SimDisplay:
    def __init__(self):
        self.shown = []

    def show(self, key, *args):
        self.shown.append(key)


class SimTamper:
    open = False

    def tripped(self):
        return self.open


class SimLink:
    """Delivers what `host` answers, at its time. A recv that waits moves the clock."""

    def __init__(self, host, clock):
        self.host, self.clock, self.is_open = host, clock, False
        self.inbox = []  # [due_ms, bytes] in order; bytes b"" closes
        self.on_send = None
        self.frames = []

    def open(self, timeout_ms):
        if self.host.refuse:
            self.host.refuse -= 1
            self.clock.advance(10)
            raise LinkError(STAGE_CONNECT, False, "refused")
        self.is_open, self.inbox = True, []

    def send(self, buf):
        if not self.is_open:
            raise LinkError(STAGE_SEND, False, "not open")
        if self.on_send:
            self.on_send()
        self.frames.append(bytes(buf))
        for delay, data in self.host.take(bytes(buf[2:])):
            self.inbox.append([self.clock.ms + delay, data])

    def recv_into(self, buf, timeout_ms):
        if not self.is_open:
            raise LinkError(STAGE_SEND, True, "closed")
        if not self.inbox or self.inbox[0][0] > self.clock.ms + timeout_ms:
            self.clock.advance(timeout_ms)
            return 0
        due, data = self.inbox[0]
        if due > self.clock.ms:
            self.clock.advance(due - self.clock.ms)
        if not data:
            self.is_open = False
            raise LinkError(STAGE_SEND, True, "peer closed")
        n = min(len(buf), len(data))
        buf[:n] = data[:n]
        if n == len(data):
            self.inbox.pop(0)
        else:
            self.inbox[0][1] = data[n:]
        return n

    def close(self):
        self.is_open, self.inbox = False, []


class Record:
    """One transaction in the host's books, or one uploaded record."""

    def __init__(self, name, amount, pan, mode, original=None):
        self.name, self.amount, self.pan = name, amount, pan
        self.international = pan[:1] in ("3", "4", "5")
        self.chip = mode[:2] in ("05", "07")
        self.original = original  # (batch, stan) of what a void takes back


class Answer:
    """What the host answered to a 0500: the terminal's totals as text, flags by scheme, its own totals and records."""

    def __init__(self, totals, flags, own, records):
        self.totals, self.flags, self.own, self.records = totals, flags, own, records


class Closed:
    """A batch the host has closed. `settled`: stan -> Record; `totals`: as the host held them when it answered the
    0500 or ended the upload; `missing`: approved here, not in the upload."""

    def __init__(self, how, settled, totals, missing):
        self.how, self.settled, self.totals, self.missing = how, settled, totals, missing


class SimHost:
    """An acquirer. `ledger`: (batch, stan) -> state. `faults`: one per message to come, by name; see take().

    It keeps books as an acquirer does, from what the messages say, and settles by the profile's `settlement` table:
    `books` (batch, stan) -> Record, `answers` batch -> Answer, `uploads` batch -> {stan: [code, Record]}, `closed`
    batch -> Closed. Told to misbehave by: `lose` (STANs dropped from the books once approved), `double` (counted
    twice), `change` {stan: amount}, `force_flags` [flags, ...] for the next answers to a 0500, `refuse_records`
    {stan: code}, `end_code` for the next end message, `reversal_code` for every reversal, `refuse` connections.
    What no sound terminal does raises ValueError: a second close with new totals, an acknowledged record sent again
    unasked, a sale after the totals.
    """

    def __init__(self, profile):
        iso, self.prefix = profile["iso"], bytes.fromhex(profile["framing"]["tpdu"] + profile["framing"]["header"])
        self.spec = Spec(iso["fields"], iso["mti"], iso["bitmap"], iso["numeric"], iso["length"])
        self.mac_field = 64 if profile.get("mac") else 0
        self.key = b"working key 0001"
        self.ledger, self.faults, self.refuse, self.seen = {}, [], 0, []
        self.date, self.time, self.clock = "1123", "120000", None  # or a clock, for a host whose time goes on
        self.rules = profile.get("settlement")
        self.tables, self.balance = {}, {}  # MTI -> [(name, fields)]; name -> balance codes
        for name, table in profile["messages"].items():
            self.balance[name] = table.get("balance_codes", ())
            sources = [(int(field), table["fields"][field]) for field in table["fields"]]
            self.tables.setdefault(table["mti"], []).append((name, sources))
        self.codes = {}  # type code, or MTI and processing code and condition -> name
        for name in _MONEY:
            table = profile["messages"].get(name)
            if table:
                self.codes[table.get("type_code")] = name
                self.codes[(table["mti"], table.get("pcode"), table.get("condition", "00"))] = name
        self.books, self.rrns, self.answers, self.uploads, self.closed = {}, {}, {}, {}, {}
        self.lose, self.double, self.change, self.force_flags = set(), set(), {}, []
        self.refuse_records, self.end_code, self.reversal_code, self.miscounts = {}, None, None, 0
        self.end_stays = False  # the end message is answered by `end_code` for ever
        self.told = {}  # (batch, stan) of a settlement message -> [its fields, the reply's]

    def _wire(self, mti, fields, mac=True):
        mac = mac and self.mac_field
        if mac:
            fields[self.mac_field] = bytes(_MAC_SIZE)
        iso = self.spec.pack(mti, fields)
        if mac:
            iso = iso[:-8] + Cmac(self.key).mac(iso[:-8])[:8]
        body = self.prefix + iso
        return len(body).to_bytes(2, "big") + body

    def take(self, wire):
        """One request; return [(delay_ms, bytes), ...]."""
        fault = self.faults.pop(0) if self.faults else None
        if fault == "lost":
            return []
        if self.mac_field and wire[len(self.prefix) : len(self.prefix) + 2] != b"\x08\x00":
            iso = wire[len(self.prefix) :]
            if Cmac(self.key).mac(iso[:-8])[:8] != iso[-8:]:
                raise ValueError("the terminal's MAC is wrong")
        mti, fields = self.spec.parse(wire[len(self.prefix) :])
        self.seen.append((mti, fields))
        reply = {11: fields[11], 41: fields[41], 39: "00"}
        if 4 in fields:
            reply[4] = fields[4]
        name, values = self._identify(mti, fields)
        key = (values.get("batch", fields.get(60, "00000000")[2:8]), fields[11])
        if mti == "0800":
            reply[12], reply[13] = self.time, self.date
            if self.clock:
                _, month, day, hour, minute, second = civil(self.clock.rtc, SETTINGS["utc_offset_min"])
                reply[12], reply[13] = "%02d%02d%02d" % (hour, minute, second), "%02d%02d" % (month, day)
            if self.mac_field:
                check = Cmac(self.key).mac(bytes(16))[:4]
                reply[62] = ecb_encrypt(TMK, self.key) + check
        elif name in _SETTLING:
            if isinstance(fault, tuple) and fault[0] in ("decline", "code") and key not in self.told:
                reply[39] = fault[1]
                if name in ("upload", "upload_chip"):
                    self._refuse(int(key[0]), self._records(values), fault[1])
            else:
                self._once(name, key, values, fields, reply)
                fault = None if isinstance(fault, tuple) and fault[0] == "code" else fault
        elif mti == "0400" and self.reversal_code:
            reply[39] = self.reversal_code
        elif mti == "0400":
            reply[39] = "00" if self.ledger.get(key) else "25"
            self.ledger[key] = "reversed"
        else:
            code = fault[1] if isinstance(fault, tuple) and fault[0] == "decline" else "00"
            reply[39] = code
            if self.ledger.get(key) != "reversed":
                self.ledger[key] = "approved" if code == "00" else "declined"
            reply[37], reply[38] = "9" + key[1] + "00000", "A" + key[1][1:]
            if name:
                self._book(name, key, values, reply[37])
        if isinstance(fault, tuple) and fault[0] == "code":
            reply[39] = fault[1]
        out = "%04d" % (int(mti) + 10)
        if fault == "wrong_stan":
            reply[11] = "999999"
        if fault == "wrong_amount":
            reply[4] = "000000000001"
        wire = self._wire(out, reply, mti != "0800")
        return self._deliver(fault, wire)

    def _deliver(self, fault, wire):
        if fault == "silent":
            return []
        if fault == "garbled":
            return [(50, wire[:13] + b"\xff\xff\xff" + wire[16:])]
        if fault == "bad_mac":
            return [(50, wire[:-1] + bytes((wire[-1] ^ 1,)))]
        if fault == "half":
            return [(50, wire[: len(wire) // 2]), (60, b"")]
        if fault == "close":
            return [(50, b"")]
        if fault == "oversize":
            return [(50, b"\xff\xff" + wire)]
        if fault == "slow":
            return [(4000 * (i + 1), wire[i : i + 1]) for i in range(len(wire))]
        if fault == "twice":
            return [(50, wire), (60, wire)]
        if isinstance(fault, tuple) and fault[0] == "late":
            return [(fault[1], wire)]
        return [(50, wire)]

    # -- books -----------------------------------------------------------------------------------------------

    def _identify(self, mti, fields):
        """(name in the profile's `messages`, {source: text}); (None, {}) for a message that fits none of them."""
        for name, table in self.tables.get(mti, ()):
            values = _read(table, fields)
            if values is not None and values.get("balance_code") in (self.balance[name] or (None,)):
                return name, values
        return None, {}

    def _book(self, name, key, values, rrn):
        batch, stan = int(key[0]), int(key[1])
        if self.rules and (batch in self.answers or batch in self.closed):
            raise ValueError("a sale in batch %d after its totals were sent" % batch)
        if key in self.told:
            raise ValueError("STAN %d was a settlement message's" % stan)
        original = None
        if "orig_stan" in values:
            original = (int(values["orig_batch"]), int(values["orig_stan"]))
        elif "orig_rrn" in values:
            original = self.rrns.get(values["orig_rrn"])
        self.rrns[rrn] = (batch, stan)
        pan, mode = values.get("pan", ""), values.get("mode", "")
        self.books[(batch, stan)] = Record(name, int(values["amount"]), pan, mode, original)

    def approved(self, batch=None):
        """The (batch, stan) pairs that are approved and not reversed, sorted, of one batch or of all."""
        return sorted(
            key
            for key in self.books
            if (batch is None or key[0] == batch) and self.ledger["%06d" % key[0], "%06d" % key[1]] == "approved"
        )

    def counted(self, batch):
        """{stan: Record} of what counts in `batch` by the profile's rule, in the books as they are (lost records are
        not there, changed ones hold the wrong amount)."""
        live = {}
        for key in self.approved(batch):
            if key[1] not in self.lose:
                live[key[1]] = self.books[key]
        taken = set()
        for stan in live:
            of = live[stan].original
            if self.rules["count"][live[stan].name] == "cancels" and of and of[0] == batch and of[1] in live:
                taken.add(stan)
                taken.add(of[1])
        return {
            stan: live[stan] for stan in live if stan not in taken and self.rules["count"][live[stan].name] != "none"
        }

    def totals(self, batch):
        """The host's own 8 totals, as its books are just now."""
        records = self.counted(batch)
        pairs = [(stan, records[stan]) for stan in records]
        pairs += [(stan, records[stan]) for stan in self.double if stan in records]
        return _sum(self.rules["count"], pairs, self.change)

    def sum_of(self, records):
        """The 8 totals of {stan: Record}, by their true amounts."""
        return _sum(self.rules["count"], records.items(), {})

    # -- settlement --------------------------------------------------------------------------------------------

    def _once(self, name, key, values, fields, reply):
        """A repeated message gets the answer it got; a STAN is no other message's."""
        content = {field: fields[field] for field in fields if field != self.mac_field}
        told = self.told.get(key)
        if told:
            if told[0] != content:
                what = "second close with new totals" if name == told[2] == "settlement" else "STAN used twice"
                raise ValueError("%s: %s" % (key, what))
            reply.update(told[1])
            return
        if key in self.ledger:
            raise ValueError("%s: the STAN was a transaction's" % (key,))
        answer, keep = {}, True
        if name == "settlement":
            keep = self._take_totals(int(key[0]), values["totals"], answer)
        elif name == "upload_end":
            keep = self._take_end(int(key[0]), values, answer)
        else:
            self._take_upload(name, int(key[0]), values, answer)
        if keep:
            self.told[key] = [content, answer, name]
        reply.update(answer)

    def _take_totals(self, batch, text, answer):
        known = self.answers.get(batch)
        if known and known.totals != text:
            raise ValueError("batch %d: second close with new totals" % batch)
        if batch in self.closed:
            raise ValueError("batch %d is closed already" % batch)
        sent = _parse_layout(self.rules["totals"], text)
        own = self.totals(batch)
        ours = _layout_values(self.rules["totals"], own)
        flags = [1, 1]
        for name in ours:
            if ours[name] != sent[name]:
                if name[:3] != "int":
                    flags[0] = 2
                if name[:3] != "dom":
                    flags[1] = 2
        if self.force_flags:
            flags = self.force_flags.pop(0)
        rule = self.rules["reply"]
        body = _build_layout(self.rules["totals"], ours)
        if "flags" in rule:
            for i in (0, 1):
                at = rule["flags"][i]
                body = body[:at] + str(flags[i]) + body[at + 1 :]
        elif 3 in flags:
            answer[39] = "96"
        elif 2 in flags:
            answer[39] = rule["unbalanced"][0]
        answer[rule["field"]] = body
        records = self.counted(batch)
        self.answers[batch] = Answer(text, flags, own, records)
        if 3 in flags:
            return False  # the totals are known, the host could not judge them: whoever asks again is judged again
        if flags == [1, 1] and not (self.rules["chip_always"] and any(records[stan].chip for stan in records)):
            self.closed[batch] = Closed("balanced", records, own, [])
        return True

    def _take_upload(self, name, batch, values, answer):
        if batch not in self.answers:
            raise ValueError("batch %d: an upload before the totals were answered" % batch)
        balanced = self.answers[batch].flags == [1, 1]
        records = self._records(values)
        said = values.get("balance_code")
        if said and batch not in self.closed and (said == self.balance[name][0]) != balanced:
            raise ValueError("batch %d: balance code %s" % (batch, said))
        if balanced and name != "upload_chip":
            raise ValueError("batch %d: an upload of what balanced" % batch)
        codes = [self._take_record(name, batch, stan, record) for stan, record in records]
        if self.rules["reply_codes"]:
            answer[self.rules["reply_codes"]] = "%02d" % len(codes) + "".join(codes)
        else:
            answer[39] = codes[0]

    def _records(self, values):
        """[stan, Record] of each record in an upload message."""
        records = []
        if "records" in values:
            count, text = int(values["records"][:2]), values["records"][2:]
            size = sum(_width(part) for part in self.rules["record"])
            if not 1 <= count <= self.rules["pack"] or len(text) != count * size:
                raise ValueError("a pack that is no pack: %s" % values["records"])
            for i in range(count):
                one = _parse_layout(self.rules["record"], text[i * size : (i + 1) * size])
                pan = str(one["pan"])
                name_of = self.codes["%02d" % one["type_code"]]
                records.append([one["record_stan"], Record(name_of, one["amount"], pan, "")])
        else:
            code = values.get("type_code")
            if code is None:
                code = (values["type_mti"], values["type_pcode"], values["type_condition"])
            record = Record(self.codes[code], int(values["amount"]), values["pan"], values["mode"])
            records.append([int(values["record_stan"]), record])
        return records

    def _refuse(self, batch, records, code):
        # The code of a message with one record is that record's; a pack that is refused will come again in parts.
        if len(records) == 1 and code not in self.rules["accepted"]:
            stan = records[0][0]
            self.uploads.setdefault(batch, {})[stan] = [code, self.books[(batch, stan)]]

    def _take_record(self, name, batch, stan, record):
        before = self.uploads.setdefault(batch, {}).get(stan)
        if before and before[0] in self.rules["accepted"]:
            raise ValueError("record %d of batch %d sent again after it was acknowledged" % (stan, batch))
        if batch in self.closed and not before:
            raise ValueError("record %d for batch %d, which is closed" % (stan, batch))
        booked = self.books.get((batch, stan))
        if booked is None or self.ledger["%06d" % batch, "%06d" % stan] != "approved":
            raise ValueError("record %d of batch %d is not approved here" % (stan, batch))
        same = (record.name, record.amount, record.pan) == (booked.name, booked.amount, booked.pan)
        if not same or self.rules["count"][record.name] == "none":
            raise ValueError("record %d of batch %d is not what was approved" % (stan, batch))
        if "upload_chip" in self.balance and booked.chip != (name == "upload_chip"):
            raise ValueError("record %d of batch %d by the wrong message" % (stan, batch))
        code = self.refuse_records.get(stan, "00")
        self.uploads[batch][stan] = [code, booked]
        if code in self.rules["accepted"] and batch in self.closed:
            self.closed[batch].settled[stan] = booked
        return code

    def _take_end(self, batch, values, answer):
        if batch not in self.answers or batch in self.closed:
            raise ValueError("batch %d: an end message before the totals or after the close" % batch)
        known = self.answers[batch]
        balanced = known.flags == [1, 1]
        said = values.get("balance_code")
        if said and (said == self.balance["upload_end"][0]) != balanced:
            raise ValueError("batch %d: balance code %s" % (batch, said))
        if values.get("totals", known.totals) != known.totals:
            raise ValueError("batch %d: other totals in the end message" % batch)
        code = self.end_code
        if not self.end_stays:
            self.end_code = None
        uploads = self.uploads.setdefault(batch, {})
        if code is None and int(values.get("record_count", len(uploads))) != len(uploads):
            self.miscounts += 1
            code = self.rules["again"][0]
        if code in self.rules["again"]:
            self.uploads[batch] = {}
        if code is not None:
            answer[39] = code
            return code in self.rules["again"]
        settled = {stan: uploads[stan][1] for stan in uploads if uploads[stan][0] in self.rules["accepted"]}
        if balanced:
            self.closed[batch] = Closed("balanced", known.records, known.own, [])
        else:
            totals = self.sum_of(settled)
            missing = [stan for stan in self.counted(batch) if stan not in uploads]
            self.closed[batch] = Closed("uploaded", settled, totals, missing)
        return True


def _read(table, fields):
    """What the message holds by one table of the profile, {source: text}; None if it does not fit the table."""
    values, known = {}, [field for field, _ in table]
    for field in fields:
        if field not in known:
            return None
    for field, source in table:
        value = fields.get(field)
        if isinstance(source, list):
            at = 0
            for part in source:
                size = len(part) - 1 if part[0] == "=" else _WIDTHS.get(part, 0)
                if value is None or not size:
                    return None
                if part[0] != "=":
                    values[part] = value[at : at + size]
                elif value[at : at + size] != part[1:]:
                    return None
                at += size
        elif source[0] == "?":
            if value is not None:
                values[source[1:]] = value
        elif value is None or (source[0] == "=" and value != source[1:]):
            return None
        elif source[0] != "=":
            values[source] = value
    return values


def _width(part):
    return len(part) - 1 if part[0] == "=" else int(part.split(":")[1])


def _parse_layout(layout, text):
    """{name: int} of digits laid out as the profile says. Raises ValueError where they do not fit."""
    values, at = {}, 0
    for part in layout:
        size = _width(part)
        if part[0] != "=":
            values[part.split(":")[0]] = int(text[at : at + size])
        elif text[at : at + size] != part[1:]:
            raise ValueError("%s does not fit the layout" % text)
        at += size
    if at != len(text):
        raise ValueError("%s is not as long as the layout" % text)
    return values


def _layout_values(layout, totals):
    """What `layout` asks for of 8 totals, {name: int}."""
    values = {}
    for part in layout:
        name = part.split(":")[0]
        if part[0] == "=":
            continue
        at = (0 if "debit" in name else 2) + (1 if "count" in name else 0)
        if name[:3] == "int":
            values[name] = totals[at + 4]
        else:
            values[name] = totals[at] if name[:3] == "dom" else totals[at] + totals[at + 4]
    return values


def _build_layout(layout, values):
    out = ""
    for part in layout:
        if part[0] == "=":
            out += part[1:]
        else:
            digits = str(values[part.split(":")[0]])
            out += "0" * (_width(part) - len(digits)) + digits
    return out


def _sum(count, pairs, change):
    """The 8 totals over (stan, Record) pairs; change: {stan: amount} of those booked wrong."""
    out = [0] * 8
    for stan, record in pairs:
        at = (4 if record.international else 0) + (0 if count[record.name] == "debit" else 2)
        out[at] += change.get(stan, record.amount)
        out[at + 1] += 1
    return out


class SimBoard:
    firmware = "sim/1"

    def __init__(self, profile, blocks=32, block_size=4096, program_size=32, vault_blocks=4):
        self.flash = NorFlash(blocks, block_size, program_size)
        self.vault_flash = NorFlash(vault_blocks, block_size, program_size)
        self.keystore, self.printer, self.usb = SimKeyStore(), SimPrinter(), SimUsb()
        self.clock, self.display, self.tamper = SimClock(), SimDisplay(), SimTamper()
        self.host = SimHost(profile)
        self.link = SimLink(self.host, self.clock)
        self.count = 0

    def random(self, size):
        self.count += 1
        return hkdf(b"seed", b"", self.count.to_bytes(4, "big"), size)

    def reset_cause(self):
        return 1


def profile(name="unionpay", **changes):
    """A shipped profile with parts changed: profile(gate={...})."""
    data = load(PROFILES + name + ".json")
    data.update(changes)
    return data


def settling(name="unionpay", **changes):
    """A shipped profile with parts of its `settlement` table changed: settling(unresolved="block")."""
    data = load(PROFILES + name + ".json")
    data["settlement"].update(changes)
    return data


class Sim:
    """A provisioned, booted and signed-on terminal."""

    def __init__(self, data=None, sign_on=True, **geometry):
        self.data = data or profile()
        self.board = SimBoard(self.data, **geometry)
        self.host, self.clock, self.printer = self.board.host, self.board.clock, self.board.printer
        self.start()
        if sign_on:
            done = self.terminal.sign_on()
            if not done["ok"]:
                raise ValueError(done)

    def start(self):
        """Power on: nothing of the former run is left but flash and key store."""
        self.board.clock.restart()
        self.board.link.close()
        self.terminal = Terminal(self.board, self.data, SETTINGS, bytes(32))
        return self.terminal.boot()

    @property
    def state(self):
        return self.terminal.runner.state

    def card(self, **more):
        icc = bytes.fromhex("9F26080102030405060708950500000000009F360200019F10020102")
        card = {"mode": MODE_CHIP, "pan": PAN, "expiry": "3012", "card_seq": "001", "scheme": 1,
                "aid": "A000000333010101", "icc": icc}  # fmt: skip
        card.update(more)
        return card

    def pay(self, amount=1234, kind=SALE, finish=None, **more):
        request = {"type": kind, "amount": amount, "card": self.card(), "operator": "01"}
        request.update(more)
        return self.terminal.pay(request, finish)

    def idle(self, turns=20):
        for _ in range(turns):
            if not self.terminal.idle():
                break

    def wait(self, ms=400000, times=6):
        """Let time pass in steps, doing at each what is owed."""
        for _ in range(times):
            self.clock.advance(ms)
            self.idle(60)

    def human(self, payload, role=SUPERVISOR, context=b"posfw/human/1", key=None):
        """A decision [number, decision, name, reason], signed as a supervisor's laptop signs it, to the terminal."""
        buf = bytearray(1900)
        key = key or self.board.keystore.role_key(role)
        size = seal.write(memoryview(buf), cbor.encode(payload), key, context + JOURNAL_ID)
        return self.decide(bytes(buf[:size]))

    def decide(self, signed):
        """Hand in a signed decision as the service port does."""
        return self.terminal.service.host.human(signed)

    def entries(self):
        """Decoded payloads of the whole journal."""
        return [cbor.decode(seal.payload_of(entry)) for _, entry in self.terminal.runner.journal.read(0)]

    def kinds(self):
        return [payload[1] for payload in self.entries()]

    def bodies(self, kind):
        """The bodies of all entries of a kind."""
        return [payload[6] for payload in self.entries() if payload[1] == kind]

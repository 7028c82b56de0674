"""A second verifier of pulled journals, small enough to be read in one sitting, so that nobody has to trust the first.

Written from docs/journal-format.md (sections 2, 3, 6, 7) with Python's standard library alone:

    python small_verifier.py JOURNAL.posj --keys KEYS.json

Prints "verified, N entries" or the first thing that is wrong and where; exit code 0 verified, 1 wrong, 2 not readable.
Verified: nothing was changed since it was sealed, nothing is missing up to the answer to the manifest's nonce. Whether
that nonce is the one that was asked is not known here; of the bodies only the item types of BOOT and EXPORT are judged.
"""

import argparse
import hashlib
import hmac
import json
import sys

BOOT, EXPORT, LAST_KIND = 1, 21, 25
ENTRY = bytes.fromhex("8443a10105a0")  # array(4), protected << {1: 5} >>, unprotected {}
MAX_PAYLOAD, MAX_DEPTH = 1900, 12  # the depth, and the smallest number, are posaudit's: the document names none


class Wrong(Exception):
    """(byte of the file, what is wrong there); `where` is "manifest" or "entry 7"."""

    def __str__(self):
        return "%s, byte %d: %s" % (self.where, *self.args)


def item(data, pos, end, depth=0):
    """(value, offset behind it) of the CBOR item that begins at `pos`. `end`: where the bytes it may use end."""
    if pos >= end:
        raise Wrong(pos, "the bytes end where an item should begin")
    start, major, n = pos, data[pos] >> 5, data[pos] & 31
    pos += 1
    if major == 7 and 20 <= n <= 22:
        return (False, True, None)[n - 20], pos
    if major > 4 or n > 27:
        raise Wrong(start, "a map, tag, float or endless item, which the format does not have")
    if n > 23:
        size, least = 1 << n - 24, (24, 1 << 8, 1 << 16, 1 << 32)[n - 24]
        n = int.from_bytes(data[pos : pos + size], "big")
        pos += size
        if pos > end or n < least:
            raise Wrong(start, "a number or length cut short, or not in its shortest form")
    if major == 1 and n >> 63:
        raise Wrong(start, "a negative number that needs more than 64 bits")
    if major < 2:
        return -1 - n if major else n, pos
    if major == 4:
        if depth >= MAX_DEPTH:
            raise Wrong(start, f"arrays more than {MAX_DEPTH} deep")
        values = []
        for _ in range(n):
            value, pos = item(data, pos, end, depth + 1)
            values.append(value)
        return values, pos
    if pos + n > end:
        raise Wrong(start, "the bytes end inside a string")
    try:
        return data[pos : pos + n] if major == 2 else data[pos : pos + n].decode(), pos + n
    except UnicodeDecodeError:
        raise Wrong(start, "text that is not UTF-8") from None


def typed(values, *types):
    """True if `values` is a list of exactly these types (a bool is no int here)."""
    return type(values) is list and [type(v) for v in values] == list(types)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(master, salt, info):
    """RFC 5869: extract, then the first block of expand, which is the 32 bytes wanted."""
    return hmac.digest(hmac.digest(salt, master, "sha256"), info + b"\x01", "sha256")


def read_entry(data, pos, seq, key, head, earlier):
    """(payload, offset behind the entry); `earlier`: [boot, ms] of the entry before."""
    if data[pos : pos + 6] != ENTRY:
        raise Wrong(pos, "no sealed entry begins here")
    payload, end = item(data, pos + 6, len(data))
    if type(payload) is not bytes or not 1 <= len(payload) <= MAX_PAYLOAD:
        raise Wrong(pos + 6, f"the payload is not a byte string of 1 to {MAX_PAYLOAD} bytes")
    tag, behind = item(data, end, len(data))
    if type(tag) is not bytes or len(tag) != 32:
        raise Wrong(end, "the tag is not a byte string of 32 bytes")
    # ["MAC0", << {1: 5} >>, external_aad: the head before this entry, payload], the payload as the entry encodes it.
    structure = b"\x84\x64MAC0\x43\xa1\x01\x05\x58\x20" + head + data[pos + 6 : end]
    if not hmac.compare_digest(hmac.digest(key, structure, "sha256"), tag):
        raise Wrong(pos, "the seal does not hold: the terminal did not seal this at this place in its journal")
    start = end - len(payload)
    values, stop = item(data, start, end)
    if stop != end or not typed(values, *[int] * 6, list) or min(values[:6]) < 0:
        raise Wrong(start, "the payload is not [seq, kind, boot, ms, rtc, rtc_quality, body] and nothing else")
    kind, body = values[1], values[6]
    if values[0] != seq or not 1 <= kind <= LAST_KIND or values[5] > 3 or values[2:4] < earlier:
        raise Wrong(start, f"number, kind, clock or clock quality cannot be: {values[:6]} after boot, ms {earlier}")
    if (kind == BOOT and not typed(body, str, int, int)) or (kind == EXPORT and not typed(body, bytes, int)):
        raise Wrong(start, "the body is not the one documented for BOOT, EXPORT")
    return values, behind


def verify(data, master, terminals):
    """Number of entries of the journal in `data`, the bytes of a .posj file. Raises Wrong at the first fault."""
    where = "manifest"
    try:
        # No seal covers the manifest, so each of its items is held against something else.
        manifest, pos = item(data, 0, len(data))
        if not typed(manifest, str, int, str, bytes, bytes, int, int, bytes, str, int) or manifest[:2] != ["posj", 1]:
            raise Wrong(0, "no manifest of version 1")
        terminal, journal_id, nonce, first, count, last_head, tier, role = manifest[2:]
        if terminals.get(terminal) != journal_id:
            raise Wrong(0, f"the key file has no terminal {terminal!a} with journal {journal_id.hex()}")
        if len(nonce) != 16 or first != 0 or tier != "mac":
            raise Wrong(0, f"nonce of {len(nonce)} bytes, first entry {first}, tier {tier!a}: not 16, 0, 'mac'")
        key = hkdf(master, journal_id, b"posfw/seal/1" + terminal.encode())
        head = sha256(b"posfw/genesis/1", journal_id)
        seq, last = 0, [0] * 7
        while pos < len(data) and seq < count:
            where = f"entry {seq}"
            last, behind = read_entry(data, pos, seq, key, head, last[2:4])
            head, key = sha256(head, data[pos:behind]), sha256(b"posfw/ratchet/1", key)
            pos, seq = behind, seq + 1
        where = f"entry {seq}"
        if seq != count or pos != len(data):
            raise Wrong(pos, f"the manifest counts {count} entries, the file has {'more' if seq == count else 'fewer'}")
        where = "manifest"
        if head != last_head:
            raise Wrong(0, f"head {last_head.hex()}, but the entries give {head.hex()}")
        if last[1] != EXPORT or last[6] != [nonce, role]:
            raise Wrong(0, f"the last entry is not an EXPORT with its nonce {nonce.hex()} and role {role}")
        return seq
    except Wrong as wrong:
        wrong.where = where
        raise


def main():
    parser = argparse.ArgumentParser(description="Verify a pulled journal.")
    parser.add_argument("journal")
    parser.add_argument("--keys", required=True, help="the auditor's key file")
    args = parser.parse_args()
    try:
        with open(args.keys, encoding="utf-8") as file:
            keys = json.load(file)
        if keys["format"] != "posfw-auditor-keys/1":
            raise ValueError("another format")
        master, terminals = bytes.fromhex(keys["master"]), keys["terminals"]
        terminals = {terminal: bytes.fromhex(known["journal_id"]) for terminal, known in terminals.items()}
        with open(args.journal, "rb") as file:
            data = file.read()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Only its kind is told: the text may quote the key file, and that is secret.
        print(f"cannot read the journal or the key file: {type(error).__name__}", file=sys.stderr)
        return 2
    try:
        print(f"verified, {verify(data, master, terminals)} entries")
    except Wrong as wrong:
        print(wrong)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

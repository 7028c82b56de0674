"""BER-TLV as chip cards write it (EMV Book 3, Annex B), for field 55. Templates are not descended into."""


class TlvError(Exception):
    """The bytes are not a list of data objects, or an item cannot be one."""


def parse(buf):
    """Return [(tag, value bytes)] in order; the tag is an int of up to three bytes, 0x9F36 for `9F36`.

    Zero bytes between objects are skipped, as Annex B1 allows. Raises TlvError, also for a tag met twice:
    which of two values counts must not be the reader's choice.
    """
    view = memoryview(buf)
    end = len(view)
    items = []
    seen = set()
    pos = 0
    while pos < end:
        if not view[pos]:
            pos += 1
            continue
        start = pos
        tag, pos = _tag(view, pos)
        if pos >= end:
            raise TlvError(f"no length for the tag at offset {start}")
        n = view[pos]
        pos += 1
        if n > 0x7F:
            k = n & 0x7F
            if not 1 <= k <= 2 or k > end - pos:
                raise TlvError(f"bad length form for the tag at offset {start}")
            n = int.from_bytes(view[pos : pos + k], "big")
            if n < 0x80 or (k == 2 and n < 0x100):
                raise TlvError(f"length longer than needed for the tag at offset {start}")
            pos += k
        if n > end - pos:
            raise TlvError(f"the value of the tag at offset {start} is cut off")
        if tag in seen:
            raise TlvError(f"second value for the tag at offset {start}")
        seen.add(tag)
        items.append((tag, bytes(view[pos : pos + n])))
        pos += n
    return items


def pack(items):
    """Return the encoding of [(tag, value)], each value at most 65535 bytes. Raises TlvError."""
    out = bytearray()
    seen = set()
    for tag, value in items:
        if not 0 < tag <= 0xFFFFFF:
            raise TlvError("a tag has one to three bytes")
        start = len(out)
        out += tag.to_bytes(1 if tag < 0x100 else 2 if tag < 0x10000 else 3, "big")
        if _tag(out, start) != (tag, len(out)):
            raise TlvError("not a well-formed tag")
        if tag in seen:
            raise TlvError("the same tag twice")
        seen.add(tag)
        n = len(value)
        if n > 0xFFFF:
            raise TlvError("a value has at most 65535 bytes")
        if n > 0xFF:
            out += b"\x82" + n.to_bytes(2, "big")
        elif n > 0x7F:
            out += bytes((0x81, n))
        else:
            out += bytes((n,))
        out += value
    return bytes(out)


def subset(buf, tags):
    """Return the encoding of those objects of `buf` whose tag is in `tags`, in the order of `tags`; tags that
    `buf` lacks are left out. Raises TlvError."""
    found = dict(parse(buf))
    return pack([(tag, found[tag]) for tag in tags if tag in found])


def _tag(buf, pos):
    tag = buf[pos]
    start = pos
    pos += 1
    if tag & 0x1F == 0x1F:
        more = True
        while more:
            if pos >= len(buf) or pos - start > 2:
                raise TlvError(f"tag cut off or longer than three bytes at offset {start}")
            byte = buf[pos]
            # X.690 section 8.1.2.4.2: the first of the following bytes carries at least one bit.
            if pos == start + 1 and not byte & 0x7F:
                raise TlvError(f"tag longer than needed at offset {start}")
            tag = tag << 8 | byte
            pos += 1
            more = byte & 0x80
    return tag, pos

"""Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): frames without zero bytes, so that a zero can
end each of them and a reader finds its place again after any noise."""


class CobsError(Exception):
    """The bytes are not an encoded frame."""


def encode(data):
    """Return `data` without zero bytes, the closing zero not included: at most 1 + len/254 bytes more."""
    data = bytes(data)  # find() is missing from memoryview
    end = len(data)
    out = bytearray()
    pos = 0
    while True:
        zero = data.find(b"\x00", pos)
        if zero < 0:
            zero = end
        full = False
        while zero - pos >= 254:
            out.append(255)
            out += data[pos : pos + 254]
            pos += 254
            full = True
        # A full block implies no zero behind it: at the very end nothing more needs saying.
        if not (full and pos == end):
            out.append(zero - pos + 1)
            out += data[pos:zero]
        if zero == end:
            return bytes(out)
        pos = zero + 1


def decode(data):
    """Return what encode() was given. Raises CobsError."""
    end = len(data)
    if not end:
        raise CobsError("an encoded frame is not empty")
    out = bytearray(end)
    used = pos = left = 0
    full = True  # nothing is owed before the first block
    # Byte by byte: a frame of many zeros is many blocks, and a slice for each would cost a terminal 100 KB a kilobyte.
    while pos < end:
        byte = data[pos]
        pos += 1
        if byte == 0:
            raise CobsError("an encoded frame holds no zero byte")
        if left:
            out[used] = byte
            used += 1
            left -= 1
            continue
        if not full:
            used += 1  # the zero between two blocks
        left, full = byte - 1, byte == 255
    if left:
        raise CobsError("the frame is cut off")
    return bytes(memoryview(out)[:used])


class FrameReader:
    """Cuts a byte stream into frames. `limit` is the most bytes a decoded frame may have; the one buffer is
    made here and never grows, whatever comes."""

    def __init__(self, limit):
        self._limit = limit
        self._buf = bytearray(limit + limit // 254 + 1)
        self._n = 0
        self._dropping = False

    def feed(self, chunk):
        """Take the next bytes; return a list with each frame they complete, decoded, in order. None stands
        for one that was too long or did not decode; empty frames (a zero alone) leave nothing."""
        chunk = bytes(chunk)
        frames = []
        pos = 0
        while pos < len(chunk):
            zero = chunk.find(b"\x00", pos)
            stop = len(chunk) if zero < 0 else zero
            n = self._n + stop - pos
            if n > len(self._buf):
                self._dropping = True
            if not self._dropping:
                self._buf[self._n : n] = chunk[pos:stop]
                self._n = n
            pos = stop + 1
            if zero >= 0:
                if self._dropping or self._n:
                    frames.append(self._frame())
                self._n = 0
                self._dropping = False
        return frames

    def _frame(self):
        if self._dropping:
            return None
        try:
            frame = decode(memoryview(self._buf)[: self._n])
        except CobsError:
            return None
        return frame if len(frame) <= self._limit else None

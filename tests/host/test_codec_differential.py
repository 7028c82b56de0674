"""The same hostile bytes through the parsers under CPython and MicroPython: same values, same errors.

MicroPython's integers, text and slices differ from CPython's in places; a terminal and an auditor that
replays its journal must not read one byte string in two ways.
"""

import json
import random
import subprocess
import sys

import pytest
from interpreters import ROOT, micropython, stage_mpy

from posfw.codec import cobs, tlv
from posfw.codec.cbor import encode
from posfw.codec.iso8583 import Spec

TABLE = {
    "2": "n..19", "3": "n6", "22": "n3 right", "35": "z..37", "38": "an6", "41": "ans8", "55": "b...255", "64": "b8"
}  # fmt: skip

# Runs under both interpreters: one input a line, one result a line.
SCRIPT = f"""
import sys
from posfw.codec import cbor, cobs, iso8583, tlv
TABLE = {json.dumps(TABLE)}
bcd = iso8583.Spec(TABLE)
text = iso8583.Spec(TABLE, mti="ascii", bitmap="hex", numeric="ascii", length="ascii")

def show(v):
    if isinstance(v, (bytes, bytearray)):
        return v.hex()
    if isinstance(v, str):
        return "s" + v.encode().hex()
    if isinstance(v, (list, tuple)):
        return "[" + ",".join([show(x) for x in v]) + "]"
    if isinstance(v, dict):
        return show([(k, v[k]) for k in sorted(v)])
    return str(v)

def attempt(parse, data):
    try:
        return show(parse(data))
    except (cbor.CborError, cobs.CobsError, iso8583.Iso8583Error, tlv.TlvError) as e:
        return "! " + str(e)

PARSERS = {{"cbor": cbor.decode, "cobs": cobs.decode, "tlv": tlv.parse, "bcd": bcd.parse, "text": text.parse}}
with open(sys.argv[1]) as f:
    for line in f:
        kind, data = line.strip().split(":")
        print(attempt(PARSERS[kind], bytes.fromhex(data)))
"""


def random_value(rng, depth=0):
    kind = rng.randrange(7 if depth < 4 else 6)
    if kind == 0:
        return rng.choice([0, 23, 24, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32, (1 << 62) - 1, 1 << 62])
    if kind == 1:
        return -1 - rng.getrandbits(rng.randrange(1, 64))
    if kind == 2:
        return rng.randbytes(rng.choice([0, 1, 23, 24, 40]))
    if kind == 3:
        return "".join(rng.choice("a0冲正é\U00010151\x00") for _ in range(rng.randrange(9)))
    if kind == 4:
        return rng.choice([True, False, None])
    if kind == 5:
        return rng.getrandbits(64)
    return [random_value(rng, depth + 1) for _ in range(rng.randrange(5))]


def damage(rng, raw):
    raw = bytearray(raw)
    for _ in range(rng.randrange(3)):
        what = rng.randrange(4)
        at = rng.randrange(len(raw) + 1)
        if what == 0 and at < len(raw):
            raw[at] = rng.choice([0, 0x1F, 0x5F, 0x7F, 0x80, 0xC0, 0xED, 0xF4, 0xFF, rng.randrange(256)])
        elif what == 1:
            del raw[at:]
        elif what == 2:
            raw[at:at] = rng.randbytes(rng.randrange(1, 4))
        else:
            del raw[at : at + 1]
    return bytes(raw)


def message(rng):
    digits = "".join(rng.choice("0123456789") for _ in range(19))
    everything = {
        2: digits[: rng.randrange(20)], 3: digits[:6], 22: digits[:3], 35: digits[:9] + "=" + digits[:5],
        38: "A1    ", 41: "T0000001", 55: rng.randbytes(rng.randrange(12)), 64: rng.randbytes(8),
    }  # fmt: skip
    return {field: everything[field] for field in everything if rng.random() < 0.6}


EDGES = b"\x61\x80\x8f\x90\x9f\xa0\xbf\xc0\xc2\xe0\xed\xef\xf0\xf4\xf5"


def corpus(seed, n):
    rng = random.Random(seed)
    bcd = Spec(TABLE)
    text = Spec(TABLE, mti="ascii", bitmap="hex", numeric="ascii", length="ascii")
    for _ in range(n):
        yield "cbor", damage(rng, encode(random_value(rng)))
        # Text of random lead and continuation bytes: where the decoders of the two interpreters differ most.
        yield "cbor", b"\x64" + bytes(rng.choices(EDGES, k=4))
        yield "cobs", damage(rng, cobs.encode(rng.randbytes(rng.randrange(9)) + bytes(rng.randrange(300))))
        tags = rng.sample([0x95, 0x9A, 0x9F36, 0x9F10, 0xDF31, 0xDF8129], rng.randrange(5))
        items = [(tag, rng.randbytes(rng.choice([0, 3, 127, 128, 260]))) for tag in tags]
        yield "tlv", damage(rng, tlv.pack(items))
        yield "bcd", damage(rng, bcd.pack("0210", message(rng)))
        yield "text", damage(rng, text.pack("0210", message(rng)))


@pytest.mark.parametrize("seed", range(3))
def test_both_interpreters_read_alike(tmp_path, seed):
    script, data = tmp_path / "script.py", tmp_path / "corpus.txt"
    script.write_text(SCRIPT)
    cases = list(corpus(seed, 400))
    data.write_text("".join(f"{kind}:{raw.hex()}\n" for kind, raw in cases))
    stage = stage_mpy(ROOT / "build" / "mpy" / "device")
    device = micropython([script, data], cwd=tmp_path, env={"MICROPYPATH": f"{stage}:.frozen"})
    assert device.returncode == 0, device.stderr + device.stdout
    host = subprocess.run(
        [sys.executable, str(script), str(data)],
        env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    got, want = device.stdout.splitlines(), host.stdout.splitlines()
    assert len(got) == len(want) == len(cases)
    for case, a, b in zip(cases, got, want, strict=True):
        assert a == b, (case[0], case[1].hex())
    refused = sum(line.startswith("!") for line in want)
    assert len(cases) // 10 < refused < len(cases) * 9 // 10, "the corpus has lost its mix of good and bad input"

"""What a board implements. posfw calls nothing else of the hardware.

Nothing imports this module: it is the contract, for people and for type checkers, and costs a terminal no memory.
A board is one object that looks like Board below; its errors are those of posfw.hal.
"""


class Flash:
    """A block device with MicroPython's extended interface (docs: library/vfs, `AbstractBlockDev`), over NOR flash.

    `program_size` is P in docs/journal-format.md. `writeblocks` with an offset programs and never erases.
    All three raise OSError where the chip refuses.
    """

    program_size = 32

    def readblocks(self, block, buf, off=0):
        """Read len(buf) bytes of `block` from byte `off` into `buf`."""

    def writeblocks(self, block, buf, off=0):
        """Program `buf` (a multiple of P, at a multiple of P) without erasing."""

    def ioctl(self, op, arg):
        """4: number of blocks; 5: block size in bytes; 6: erase block `arg`, return 0."""


class KeyStore:
    """Holds what must not be in the journal's flash. A secure element, or an encrypted area of the MCU.

    Each change is atomic: after a power cut either the old or the new value is there, whole.
    """

    def identity(self):
        """Return (terminal_id: str, journal_id: 16 bytes). Raises KeyStoreError if not provisioned."""

    def seal(self):
        """Return (index, key): the number of the next entry to seal and its 32-byte key."""

    def advance(self, index, key):
        """Make (index, key) the current seal key and overwrite the previous one."""

    def role_key(self, role):
        """Return the 32-byte key of role 1 technician, 2 auditor, 3 supervisor."""

    def vault_key(self, batch):
        """Return the batch's 48-byte vault key. Raises KeyStoreError if there is none."""

    def new_vault_key(self, batch, key):
        """Store the 48-byte vault key of a batch."""

    def erase_vault_key(self, batch):
        """Overwrite and forget the vault key of a batch."""

    def install_mac_key(self, wrapped, check_value):
        """Unwrap a 16-byte working key with the terminal master key (AES-128 ECB); True if its check value (first
        bytes of the AES-CMAC of 16 zero bytes) fits, and then it is the MAC key. False leaves the old key."""

    def cmac(self, *parts):
        """AES-CMAC (RFC 4493), 16 bytes, of the joined parts under the working MAC key."""

    def signer(self):
        """Return the Signer of the terminal's private key, or None if there is none: the tier is then "mac", and the
        chained MACs alone vouch for the journal."""

    def zeroise(self):
        """Overwrite every key, the signer's too. Later calls raise KeyStoreError."""


class Signer:
    """Signs with the terminal's private key: ES256, ECDSA on P-256 with SHA-256.

    `tier` says what stands behind a signature, the strongest first; a verifier reports it:
    "element"  a secure element signs: the key was made there and cannot leave it
    "native"   a C module signs in constant time; the key passes through the terminal's memory
    "python"   posfw.crypto.signer.SoftSigner: neither constant-time nor without traces of the key in memory
    "mac"      no signer at all: KeyStore.signer() returns None
    """

    tier = "python"

    def public_key(self):
        """Return the 64-byte public key x || y. Raises KeyStoreError once zeroised."""

    def sign(self, hashed):
        """Return the 64-byte signature r || s of `hashed`, a SHA-256 digest; any s is good. Raises KeyStoreError.

        May take a tenth of a second and leave garbage: it is called in idle time, never between card and reply."""


class Link:
    """The way to the acquirer: one connection at a time, TCP or TLS."""

    is_open = False

    def open(self, timeout_ms):
        """Connect. Raises LinkError(stage, False, text)."""

    def send(self, buf):
        """Send all of `buf`. Raises LinkError; `maybe_sent` tells whether a byte may have left."""

    def recv_into(self, buf, timeout_ms):
        """Receive at least one byte into `buf`; return the count, 0 after `timeout_ms` of silence.
        Raises LinkError if the peer closed or the link broke."""

    def close(self):
        """Close; never raises."""


class Printer:
    """A receipt printer that takes ESC/POS bytes."""

    def begin(self, slip, seq):
        """A slip starts: `slip` is its kind, `seq` the sequence number of the SLIP entry."""

    def write(self, data):
        """Print bytes. Raises PrinterError, possibly after a part was printed."""

    def end(self):
        """The slip is complete (its cut was in the bytes): wait until it is really out. Raises PrinterError."""

    def fault(self):
        """0 if ready, otherwise the fault number."""


class Usb:
    """A byte pipe to the technician's laptop. Neither call blocks."""

    def readinto(self, buf):
        """Read what is there; return the count, 0 if nothing or no host."""

    def write(self, buf):
        """Write what fits; return the count, 0 if the pipe is full or no host."""


class Clock:
    """Time, as one consistent reading."""

    def now(self):
        """Return (ms, rtc, quality): milliseconds since boot (never goes back), Unix seconds (0 if unknown), RTC_*."""

    def ticks(self):
        """Milliseconds of a clock that only ever runs forward, for deadlines while waiting. May differ from now()."""

    def set(self, rtc, quality):
        """Set the real-time clock."""


class Display:
    """What the cashier sees."""

    def show(self, key, *args):
        """Show message `key` of the text catalogue with its arguments."""


class TamperSwitch:
    """The case switch."""

    def tripped(self):
        """True once the case was opened (latched)."""


class Board:
    """All of it. `firmware` is the text the journal's BOOT entries carry."""

    firmware = ""
    flash = Flash()
    vault_flash = Flash()
    keystore = KeyStore()
    link = Link()
    printer = Printer()
    usb = Usb()
    clock = Clock()
    display = Display()
    tamper = TamperSwitch()

    def random(self, n):
        """Return n bytes from the hardware's random generator."""

    def reset_cause(self):
        """0 unknown, 1 power, 2 reset, 3 watchdog."""

"""QUIC Initials: decrypted as the standards' own examples, and CRYPTO frames joined in any order."""

from __future__ import annotations

import itertools
from collections import Counter

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.packets import quic
from sentinel.packets.wire import Undecodable
from tests.packets.made_packets import datagram, decode, hello, names

ID = bytes.fromhex("8394c8f03e515708")


def varint(value: int) -> bytes:
    """Return a QUIC integer of two bytes, or four."""
    return (0x4000 | value).to_bytes(2, "big") if value < 0x4000 else (0x80000000 | value).to_bytes(4, "big")


def initial(
    frames: bytes, *, number: int = 0, version: int = quic.V1, destination: bytes = ID, keys_of: bytes | None = None
) -> bytes:
    """Return a protected Initial, padded to 1,200 bytes, as RFC 9001 section 5 describes."""
    keys = quic.Keys.of(version, destination if keys_of is None else keys_of)
    frames += bytes(max(0, 1180 - len(frames)))
    first = 0xC0 | quic.INITIAL[version] << 4 | 3
    head = bytes([first]) + version.to_bytes(4, "big") + bytes([len(destination)]) + destination + b"\0" + b"\0"
    head += varint(4 + len(frames) + 16)
    packet_number = number.to_bytes(4, "big")
    nonce = (int.from_bytes(keys.iv, "big") ^ number).to_bytes(12, "big")
    body = keys.cipher.encrypt(nonce, frames, head + packet_number)
    mask = Cipher(algorithms.AES(keys.header), modes.ECB()).encryptor().update(body[:16])
    masked = bytes(one ^ other for one, other in zip(packet_number, mask[1:5], strict=True))
    return bytes([first ^ mask[0] & 0x0F]) + head[1:] + masked + body


def crypto(message: bytes, begin: int, end: int) -> bytes:
    """Return a CRYPTO frame with a part of *message*."""
    return b"\x06" + varint(begin) + varint(end - begin) + message[begin:end]


def initials_of(packets: list[bytes]) -> list[str | None]:
    """Return the names that the datagrams show."""
    return names(decode([datagram(packet, dport=443) for packet in packets]))


def test_the_keys_are_those_of_the_standards_examples():
    """RFC 9001 appendix A.1 and RFC 9369 appendix A.1."""
    assert quic.Keys.of(quic.V1, ID).iv.hex() == "fa044b2f42a3fd3b46fb255c"
    assert quic.Keys.of(quic.V1, ID).header.hex() == "9f50449e04a0e810283a1e9933adedd2"
    assert quic.Keys.of(quic.V2, ID).iv.hex() == "91f73e2351d8fa91660e909f"
    assert quic.Keys.of(quic.V2, ID).header.hex() == "45b95e15235d6f45a6b19cbcb0294ba9"


@given(
    st.lists(st.integers(1, 1700), min_size=1, max_size=12, unique=True),
    st.randoms(use_true_random=False),
    st.sampled_from(list(quic.SALTS)),
)
@settings(deadline=None, max_examples=50)
def test_crypto_frames_are_joined_in_any_order_over_two_packets(cuts, chance, version):
    """Chromium shuffles up to a dozen frames, some of one byte, over two Initials."""
    message = hello(pad=1700)
    edges = sorted({0, len(message), *cuts})
    frames = [crypto(message, begin, end) for begin, end in itertools.pairwise(edges)]
    chance.shuffle(frames)
    half, size = [b"", b""], 0
    for frame in frames:
        half[size > 900] += frame + bytes(chance.randrange(3)) + b"\x01"
        size += len(frame)
    assert initials_of([initial(part, number=n, version=version) for n, part in enumerate(half)]) == ["pimeyes.com"]


def test_after_a_retry_the_hello_is_read_with_the_keys_of_the_new_id():
    """A server under load makes the client begin again, with another id and other keys."""
    message = hello()
    first = initial(crypto(message, 0, 40))
    again = initial(crypto(message, 0, len(message)), number=1, destination=b"retry-id")
    assert initials_of([first, again]) == ["pimeyes.com"]


def test_the_hello_that_a_retry_has_sent_again_is_told_once():
    """It is one access, and would count as two, also where the client makes another hello of it. Another name is another."""
    message, other = hello(), hello(b"clearview.ai")
    anew = message[:6] + bytes(range(32)) + message[38:]
    first = initial(crypto(message, 0, len(message)))
    again = [initial(crypto(one, 0, len(one)), number=1, destination=b"retry-id") for one in (message, anew)]
    second = initial(crypto(other, 0, len(other)), destination=b"next-one")
    assert [initials_of([first, one]) for one in again] == [["pimeyes.com"]] * 2
    assert initials_of([first, again[0], second]) == ["pimeyes.com", "clearview.ai"]


def test_the_second_initial_may_bear_the_id_that_the_server_chose():
    """The keys stay those of the first id."""
    message = hello(pad=1500)
    first = initial(crypto(message, 0, 900))
    second = initial(crypto(message, 900, len(message)), number=1, destination=b"server!!", keys_of=ID)
    assert initials_of([first, second, second]) == ["pimeyes.com"]


def test_datagrams_that_the_network_card_is_to_cut_are_captured_as_one():
    """Firefox hands both Initials to the kernel at once, the first one filled up with zeros behind the packet."""
    message = hello(pad=1500)
    first, second = initial(crypto(message, 0, 900)), initial(crypto(message, 900, len(message)), number=1)
    assert initials_of([first + bytes(52) + second]) == ["pimeyes.com"]


def test_an_initial_that_does_not_decrypt_is_counted():
    """The server's packets, and other protocols that set the same bits."""
    counters: Counter[str] = Counter()
    damaged = bytearray(initial(crypto(hello(), 0, 60)))
    damaged[-1] ^= 1
    assert quic.Initials(counters).datagram(bytes(12), bytes(damaged), 0) is None
    assert counters["quic_undecrypted"] == 1


def test_initials_by_the_ten_thousand_stay_within_bounds():
    """Each one is a valid beginning; the oldest go, and are counted."""
    counters: Counter[str] = Counter()
    table = quic.Initials(counters)
    message = hello(pad=3000)
    packet = initial(crypto(message, 0, 1100))
    for number in range(quic.MOST_CONNECTIONS + 500):
        table.datagram(number.to_bytes(4, "big") + bytes(8), packet, number)
    assert counters["evicted"] >= 499


@given(st.binary(max_size=200))
def test_any_bytes_give_packets_and_frames_or_the_declared_error(data):
    """Both headers and frames are the sender's to choose."""
    for read in (quic.crypto_frames, quic.initials):
        for start in (b"", b"\xc0\0\0\0\1", b"\x06\0\x02", b"\x02"):
            try:
                list(read(start + data))
            except Undecodable:
                continue


def test_a_datagram_cut_anywhere_gives_no_name_and_no_error():
    """What is cut cannot be authenticated, so it is not believed."""
    packet = initial(crypto(hello(), 0, len(hello())))
    whole = bytes(datagram(packet, dport=443))
    assert names(decode([whole])) == ["pimeyes.com"]
    for length in range(0, len(whole), 7):
        assert decode([whole], snap=length) == []

"""Every way to move bytes through a socket, on a server that is written on the calls themselves (servers/raw.py)."""
import os
import signal
import zlib

import pytest

from scenarios import MEGABYTE, Peer, bytes_of, text_of
from servers import TCP_ESTABLISHED, socket_states, wait_until
from watch import assert_balanced, assert_equal, assert_pairing, counted, differences, watched
from wsclient import BINARY, PING, PONG, TEXT, Refused, error_of_refusal

READS = ("recv", "read", "one", "exact", "peek", "recvmsg", "readv", "preadv2")
WRITES = ("send", "write", "one", "partial", "sendmsg", "writev", "pwritev2")


def converse(c, largest):
    """Each header form, fragments, control frames between them, and cuts, in lock step."""
    for n in (0, 1, 125, 126, 65535, 65536, largest):
        if n <= largest:
            c.echo(BINARY, bytes_of(n))
    c.echo(TEXT, text_of(300), cut=1)
    c.send(TEXT, b"first ", fin=False)
    c.ping(b"between")
    c.send(0, b"second")
    c.expect(TEXT, b"first second")


@pytest.mark.parametrize("read", READS)
def test_each_read_call(running, read):
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        c = peer.connect(f"/?read={read}")
        converse(c, 2000 if read == "one" else MEGABYTE)
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert_pairing(dump, peer.tally)


@pytest.mark.parametrize("write", WRITES)
def test_each_write_call(running, write):
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        c = peer.connect(f"/?write={write}")
        converse(c, 2000 if write == "one" else MEGABYTE)
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert_pairing(dump, peer.tally)


@pytest.mark.parametrize("call", ["read=recvmmsg", "write=sendmmsg", "read=recvmmsg&write=sendmmsg"])
def test_vectors_of_messages(running, call):
    """recvmmsg and sendmmsg make several events of one call."""
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        c = peer.connect(f"/?{call}")
        for n in (5, 300, 70000):
            c.echo(BINARY, bytes_of(n))
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert_pairing(dump, peer.tally)


@pytest.mark.parametrize("write", ["send", "sendmsg", "writev", "one"])
def test_frames_in_the_same_write_as_the_101(running, write):
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        c = peer.connect(f"/?with=4&write={write}")
        for i in range(4):
            c.expect(TEXT, b"push %d" % i)
        peer.tally.add("push", 4)
        c.ask("and a reply")
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert_pairing(dump, peer.tally)


@pytest.mark.parametrize("cut", [1, 2, 3, 7])
def test_bursts_cut_anywhere(running, cut):
    """Frame boundaries fall anywhere in the segments."""
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        c = peer.connect(f"/?read=recvmsg&write=sendmsg", cut=cut)
        messages = [(BINARY, bytes_of(n)) for n in (0, 1, 2, 124, 125, 126, 127, 200)]
        data, notes = zip(*(c.encode(*m) for m in [*messages, (PING, b"end")]))
        c.write(b"".join(data), cut)
        for note in notes:
            note()
        for m in [*messages, (PONG, b"end")]:
            c.expect(*m)
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)


def test_refusals_then_an_upgrade_on_one_connection(running):
    """A kept-alive connection: requests, refused upgrades, then the one that is accepted."""
    peer = Peer(running("raw"))
    statuses = (401, 403, 404, 429, 426, 400, 500, 503)
    with watched(peer.running) as watch:
        for status in statuses:
            with pytest.raises(Refused):
                peer.connect(f"/refuse/{status}", before=1)
        c = peer.connect("/", before=5)
        c.ask("hello")
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert {error_of_refusal(s) for s in statuses} == set(dump["errors"]["by_type"])


def test_no_answer_before_the_close_is_a_handshake_error(running):
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        with pytest.raises(Refused):
            peer.connect("/silent")
        peer.running.wait_idle()
        dump = watch.finish()
    assert peer.tally.group("refused") == {"0": 1}
    assert_equal(dump, peer.tally)


def test_payload_that_nobody_reads_is_a_gap_and_the_stream_stays_in_step(running):
    """splice moves payload past every read call: these bytes are counted as a gap, exactly, and no message is lost."""
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        c = peer.connect("/?read=splice")
        for n in (10000, 65536, 10):
            c.echo(BINARY, bytes_of(n))
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    seen = counted(dump)
    assert seen["gap_received"] == 10000 + 65536
    assert seen["payload_received"] == peer.tally["bytes_received"] + peer.tally["control_bytes.received"] - 75536
    wrong = differences(dump, peer.tally).keys() - {"gap_received", "payload_received", "bytes_received"}
    assert not wrong, differences(dump, peer.tally)
    assert_balanced(dump)


def test_payload_sent_by_sendfile_is_counted(running):
    """Its bytes are in no user memory, but how many passed is known, and payload need not be read."""
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        c = peer.connect("/?write=sendfile")
        for n in (20000, 70000):
            c.echo(BINARY, bytes_of(n))
        c.ask("short")
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert_pairing(dump, peer.tally)


def test_compressed_messages_are_no_violation_and_count_their_compressed_size(running):
    """RSV1 is a breach only where permessage-deflate was not agreed on."""
    peer = Peer(running("py_websockets"))
    with watched(peer.running) as watch:
        c = peer.connect(deflate=True)
        assert "permessage-deflate" in c.extensions
        for n in (10, 70000):
            packer = zlib.compressobj(wbits=-15)
            packed = packer.compress(text_of(n)) + packer.flush(zlib.Z_SYNC_FLUSH)
            c.send(TEXT, packed[:-4], rsv=4)
            kind, answer = c.receive()
            assert (kind, zlib.decompressobj(wbits=-15).decompress(answer + b"\0\0\xff\xff")) == (TEXT, text_of(n))
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert peer.tally["bytes_received"] < 10000


def test_what_is_read_after_a_reset(running):
    """The kernel takes the port off a socket that is reset, but what waits in it can still be read."""
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        c = peer.connect("/?sink=1")
        os.kill(peer.running.pid, signal.SIGSTOP)
        try:
            for n in (5, 300, 2000):
                c.send(BINARY, bytes_of(n))
            c.reset()
            wait_until(lambda: TCP_ESTABLISHED not in socket_states(peer.running.pid, peer.running.port), "the reset")
        finally:
            os.kill(peer.running.pid, signal.SIGCONT)
        peer.running.wait_idle()
        dump = watch.finish()
    assert (dump["messages"]["received"], dump["messages"]["bytes_received"]) == (3, 2305)
    assert dump["errors"]["causes"] == {"reset_by_peer": 1}
    assert_balanced(dump)

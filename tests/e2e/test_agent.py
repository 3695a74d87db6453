"""The agent's two processes: what each gives up, how they start and end, what they do when something is wrong."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest

from agent import TRIAL, Agent
from scenarios import SCENARIOS, Peer, together
from servers import BUILD, SOURCES, free_port, wait_until
from watch import ROOT, WSVITALS, assert_balanced, assert_equal

NOBODY_LISTENS = 7  # a port to scope to where no traffic is wanted


@pytest.fixture(scope="module", autouse=True)
def built():
    done = subprocess.run(["make", "-C", str(ROOT), "all", "trial"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    BUILD.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(BUILD / "clock.so"),
                           str(SOURCES.parent / "clock.c")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def place():
    """A directory that everybody can reach, as /var/lib is; pytest's own are root's."""
    with tempfile.TemporaryDirectory(prefix="wsvitals-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def status_of(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def descriptors(pid):
    return {fd.name: os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}


def bpf_ids(pid, key, value=r"\d+"):
    ids = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        ids |= set(re.findall(rf"^{key}:\t({value})$", info.read_text(), re.M))
    return ids


def program_lives(number):
    return subprocess.run(["/usr/sbin/bpftool", "prog", "show", "id", number], capture_output=True).returncode == 0


# -- what each process gives up -------------------------------------------------------------------------------------------

KEPT = {"BPF": 39, "PERFMON": 38, "SYS_PTRACE": 19, "DAC_READ_SEARCH": 2, "CHECKPOINT_RESTORE": 40}


def test_the_agent_holds_no_capability_and_the_keeper_five():
    with Agent("--port", NOBODY_LISTENS) as agent:
        keeper, served = status_of(agent.pid), status_of(agent.agent_pid)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(served[name], 16) == 0, (name, served[name])
    five = sum(1 << bit for bit in KEPT.values())
    assert (int(keeper["CapPrm"], 16), int(keeper["CapEff"], 16)) == (five, five)
    for name in ("CapInh", "CapBnd", "CapAmb"):
        assert int(keeper[name], 16) == 0, (name, keeper[name])
    for process in (keeper, served):
        assert process["NoNewPrivs"] == "1"
        assert "0" not in process["Uid"].split() and "0" not in process["Gid"].split(), process
        assert process["Groups"].split() == []
    assert served["Seccomp"] == "2"


def test_the_keeper_cannot_read_what_is_counted_and_the_agent_holds_no_hook():
    with Agent("--port", NOBODY_LISTENS) as agent:
        keeper, served = descriptors(agent.pid), descriptors(agent.agent_pid)
        links = bpf_ids(agent.agent_pid, "link_type", r"\w+"), bpf_ids(agent.pid, "link_type", r"\w+")
    assert not [d for d in keeper.values() if "bpf-map" in d], keeper
    assert [d for d in served.values() if "bpf-map" in d], served
    assert links[0] == {"iter"}, "the walks need no privilege and hold no hook"
    assert links[1] and "iter" not in links[1], links


REFUSED = ["read-passwd", "read-proc", "write-tmp", "list-root", "socket-inet", "socket-unix", "socket-netlink", "fork",
           "kill-keeper", "bpf-map", "bpf-prog", "bpf-attach", "bpf-id", "perf", "exec-memory", "exec-protect", "chmod-keeper", "mkdir"]
DEADLY = ["exec", "ptrace", "mount", "setuid", "unshare", "process-vm"]


def test_calls_that_no_agent_makes_are_refused():
    with Agent("--port", NOBODY_LISTENS, program=TRIAL) as agent:
        answers = {call: agent.ask_local(f"/local/trial?call={call}") for call in REFUSED}
        assert agent.ask("/healthz", token=False).status == 200
    through = {call: answer for call, answer in answers.items() if answer[0] != 200 or answer[1].strip() not in ("1", "13")}
    assert not through, through


@pytest.mark.parametrize("call", DEADLY)
def test_calls_of_somebody_who_took_it_over_end_it(call):
    with Agent("--port", NOBODY_LISTENS, program=TRIAL) as agent:
        with pytest.raises((IndexError, ConnectionError)):
            agent.ask_local(f"/local/trial?call={call}")
        status, log = agent.wait()
        assert status == 1 and "Bad system call" in log, log
        assert agent.left_over() == []


def test_the_trials_are_not_in_the_program_that_people_run():
    with Agent("--port", NOBODY_LISTENS) as agent:
        assert agent.ask_local("/local/trial?call=exec")[0] == 404
        assert agent.ask("/healthz", token=False).status == 200


# -- ends -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_both_in_order(sig):
    with Agent("--port", NOBODY_LISTENS) as agent:
        programs = bpf_ids(agent.agent_pid, "prog_id")
        assert programs and all(map(program_lives, programs))
        status, log = agent.end(sig)
        assert status == 0, log
        assert "level=error" not in log and "level=warning" not in log, log
        assert agent.left_over() == []
        wait_until(lambda: not any(map(program_lives, programs)), "the kernel to let go of the programs")


@pytest.mark.parametrize("victim, reason", [("agent", "killed by signal 9"), ("keeper", "the keeper is gone")])
def test_when_one_is_killed_the_other_ends_and_says_why(victim, reason):
    with Agent("--port", NOBODY_LISTENS) as agent:
        served = agent.agent_pid
        programs = bpf_ids(served, "prog_id")
        os.kill(served if victim == "agent" else agent.pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{served}").exists() or status_of(served)["State"].startswith("Z"), "the agent to end")
        status, log = agent.wait()
        assert status == (1 if victim == "agent" else -9)
        wait_until(lambda: reason in agent.log(), reason)
        wait_until(lambda: agent.left_over() == [], "nothing to be left")
        wait_until(lambda: not any(map(program_lives, programs)), "the kernel to let go of the programs")


def test_the_engine_that_lost_its_hooks_is_not_healthy():
    with Agent("--port", NOBODY_LISTENS, program=TRIAL) as agent:
        assert agent.ask("/healthz", token=False).json == {"status": "ok", "engine": "counting"}
        os.kill(agent.pid, signal.SIGUSR1)
        wait_until(lambda: agent.ask("/healthz", token=False).status == 503, "healthz to say so")
        assert "sock_recv_length" in agent.ask("/healthz", token=False).json["engine"]
        status, out, _ = agent.command("doctor")
        assert status == 1 and "sock_recv_length" in out, out


# -- systemd --------------------------------------------------------------------------------------------------------------

@contextmanager
def notify_socket(directory):
    path = str(directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        os.chmod(path, 0o777)
        s.settimeout(10)
        yield path, s


def heard(s, wanted, seconds=10):
    until, all_of_it = time.monotonic() + seconds, []
    while time.monotonic() < until:
        try:
            all_of_it.append(s.recv(256).decode())
        except TimeoutError:
            break
        if all_of_it[-1] == wanted:
            return True
    raise AssertionError(f"{wanted} was not heard in {all_of_it}")


@pytest.mark.flaky(reruns=2)  # it waits for pings that come, and do not come, within seconds
def test_systemd_hears_ready_watchdog_reload_and_stop(place):
    with notify_socket(place) as (path, s):
        with Agent("--port", NOBODY_LISTENS, env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "4000000"}) as agent:
            assert heard(s, "READY=1")
            assert heard(s, "WATCHDOG=1") and heard(s, "WATCHDOG=1")
            os.kill(agent.pid, signal.SIGHUP)
            assert heard(s, "RELOADING=1") and heard(s, "READY=1")
            # an agent that hangs is not kept alive
            os.kill(agent.agent_pid, signal.SIGSTOP)
            time.sleep(2.6)
            s.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    s.recv(256)
            s.settimeout(2.0)
            with pytest.raises(TimeoutError):
                s.recv(256)
            os.kill(agent.agent_pid, signal.SIGCONT)
            assert heard(s, "WATCHDOG=1")
            status, log = agent.end()
            assert status == 0, log
            assert heard(s, "STOPPING=1")


# -- configuration --------------------------------------------------------------------------------------------------------

def write_config(path, **keys):
    path.write_text("[agent]\n" + "".join(f"{key.replace('_', '-')} = {value}\n" for key, value in keys.items()))


@pytest.mark.parametrize("how", ["SIGHUP", "reload"])
def test_the_configuration_is_read_again_and_a_bad_one_refused(place, how):
    config = place / "wsvitals.conf"
    write_config(config, base_path="/one")

    def reload(agent):
        if how == "reload":
            return agent.command("reload")
        os.kill(agent.pid, signal.SIGHUP)
        time.sleep(0.5)
        return None

    with Agent("--port", NOBODY_LISTENS, config=config) as agent:
        assert agent.ask("/one/healthz", token=False).status == 200
        assert agent.ask("/two/healthz", token=False).status == 401
        write_config(config, base_path="/two", log_level="debug")
        answer = reload(agent)
        assert answer is None or answer[0] == 0, answer
        assert agent.ask("/two/healthz", token=False).status == 200
        config.write_text("[agent]\nbase-path = three/\n")
        answer = reload(agent)
        assert answer is None or (answer[0] == 1 and answer[1] == "" and f"{config}:2" in answer[2]), answer
        assert agent.ask("/two/healthz", token=False).status == 200
        assert f"{config}:2: base-path takes" in agent.log()
        # what needs a restart is said and stays
        write_config(config, base_path="/two", port="9", insecure_listen="yes")
        answer = reload(agent)
        assert answer is None or (answer[0] == 0 and "insecure-listen" in answer[1]), answer
        assert "taken at the next start only: insecure-listen" in agent.log()
        status, out, _ = agent.command("config")
        assert re.search(rf"^port += {NOBODY_LISTENS} +# --port$", out, re.M), out
        assert re.search(rf"^base-path += /two +# {re.escape(str(config))}:2$", out, re.M), out
        assert re.search(r"^insecure-listen += no +# default$", out, re.M), out


def test_config_without_an_agent_shows_what_one_would_start_with(place):
    config = place / "c.conf"
    write_config(config, listen="127.0.0.1:1234")
    (place / "c.conf.d").mkdir()
    (place / "c.conf.d" / "10-port.conf").write_text("[agent]\nport = 8000\nport = 8001\n")
    done = subprocess.run([str(WSVITALS), "config", "--config", str(config), "--run-dir", str(place / "nothing")],
                          capture_output=True, text=True)
    assert done.returncode == 0
    assert re.search(rf"^listen += 127.0.0.1:1234 +# {re.escape(str(config))}:2$", done.stdout, re.M), done.stdout
    assert re.search(r"^port += 8000,8001 +# .*10-port.conf:3$", done.stdout, re.M), done.stdout
    assert "no agent runs here" in done.stderr


# -- bad input: one clear sentence, nothing half-started ------------------------------------------------------------------

def refused(agent, *words):
    status, log = agent.wait()
    assert status == 1, log
    lines = [line for line in log.splitlines() if line]
    assert len(lines) == 1, log
    for word in words:
        assert word in lines[0], lines[0]
    assert agent.left_over() == []
    assert agent.lines == []


def test_a_port_in_use():
    with socket.socket() as s:
        s.bind(("127.0.0.1", free_port()))
        s.listen()
        with Agent("--port", NOBODY_LISTENS, port=s.getsockname()[1], wait=False) as agent:
            refused(agent, "in use", "--listen")


def test_beyond_loopback_only_when_asked_for():
    with Agent("--port", NOBODY_LISTENS, host="0.0.0.0", wait=False) as agent:
        refused(agent, "not loopback", "--insecure-listen")
    with Agent("--port", NOBODY_LISTENS, "--insecure-listen", host="0.0.0.0") as agent:
        agent.host = "127.0.0.1"
        assert agent.ask("/healthz", token=False).status == 200
        assert "without TLS" in agent.log()


def test_a_directory_that_is_somebody_elses(place):
    (place / "db").mkdir()
    os.chown(place / "db", 2, 2)
    with Agent("--port", NOBODY_LISTENS, directory=place, wait=False) as agent:
        refused(agent, str(place / "db"), "belongs to", "chown")


def test_a_directory_of_root_that_holds_other_things(place):
    (place / "db").mkdir()
    (place / "db" / "passwd").write_text("precious")
    with Agent("--port", NOBODY_LISTENS, directory=place, wait=False) as agent:
        refused(agent, str(place / "db"), "holds other things")
    assert (place / "db").stat().st_uid == 0


def test_a_directory_that_its_user_cannot_reach(place):
    (place / "closed").mkdir(mode=0o700)
    done = subprocess.run([str(WSVITALS), "run", "--port", str(NOBODY_LISTENS), "--listen", f"127.0.0.1:{free_port()}",
                           "--db", str(place / "closed" / "db"), "--run-dir", str(place / "run")], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1, done.stderr
    assert str(place / "closed" / "db") in done.stderr and "cannot reach" in done.stderr


def test_a_directory_that_is_a_file(place):
    (place / "db").write_text("")
    with Agent("--port", NOBODY_LISTENS, directory=place, wait=False) as agent:
        refused(agent, str(place / "db"), "no directory")


def test_a_directory_that_cannot_be_written(place):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], check=True)
    try:
        log = Path("/tmp") / f"wsvitals-ro-{os.getpid()}"
        log.mkdir()
        agent = Agent("--port", NOBODY_LISTENS, directory=log, wait=False)
        agent.wait_ready()
        agent.end()
        with agent:
            pass
        done = subprocess.run([str(WSVITALS), "run", "--port", str(NOBODY_LISTENS), "--listen", f"127.0.0.1:{free_port()}",
                               "--db", str(place / "db"), "--run-dir", str(log / "run")], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and done.stdout == ""
        assert len(done.stderr.splitlines()) == 1 and str(place / "db") in done.stderr and "Read-only" in done.stderr, done.stderr
        shutil.rmtree(log)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_second_agent_on_the_same_directories(place):
    with Agent("--port", NOBODY_LISTENS, directory=place) as first:
        done = subprocess.run([str(WSVITALS), "run", "--port", str(NOBODY_LISTENS), "--listen", f"127.0.0.1:{free_port()}",
                               *first.places], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and done.stdout == ""
        assert f"another agent, process {first.pid}" in done.stderr and str(first.db) in done.stderr, done.stderr
        done = subprocess.run([str(WSVITALS), "run", "--port", str(NOBODY_LISTENS), "--listen", f"127.0.0.1:{free_port()}",
                               "--db", str(place / "other"), "--run-dir", str(first.run_dir)], capture_output=True, text=True,
                              timeout=20)
        assert done.returncode == 1 and f"another agent, process {first.pid}" in done.stderr, done.stderr
        # and the first has not noticed
        assert first.ask("/healthz", token=False).status == 200
        assert first.command("version")[0] == 0


@pytest.mark.parametrize("text, words", [
    ("[agent]\nlisten = nowhere\n", ("c.conf:2", "nowhere", "127.0.0.1:9797")),
    ("[agent]\n\nlisen = 127.0.0.1:1\n", ("c.conf:3", "lisen", "listen")),
    ("[agnt]\n", ("c.conf:1", "[agnt]", "[agent]")),
    ("[agent]\njust words\n", ("c.conf:2",)),
    ("listen = 127.0.0.1:1\n", ("c.conf:1", "section")),
])
def test_a_broken_configuration(place, text, words):
    config = place / "c.conf"
    config.write_text(text)
    with Agent("--port", NOBODY_LISTENS, config=config, wait=False) as agent:
        refused(agent, *words)


def test_a_configuration_that_is_not_there(place):
    done = subprocess.run([str(WSVITALS), "run", "--port", str(NOBODY_LISTENS), "--config", str(place / "none")], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 1 and str(place / "none") in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_broken_token_file(place):
    with Agent("--port", NOBODY_LISTENS, directory=place) as agent:
        agent.end()
    with open(place / "db" / "tokens", "a") as f:
        f.write("garbage\n")
    (place / "stderr").write_text("")
    with Agent("--port", NOBODY_LISTENS, directory=place, wait=False) as agent:
        refused(agent, "tokens:3", "NAME ROLE TIME")


def test_a_broken_key_of_the_pseudonyms(place):
    (place / "db").mkdir()
    (place / "db" / "lock").write_text("")
    (place / "db" / "label.key").write_text("short")
    with Agent("--port", NOBODY_LISTENS, directory=place, wait=False) as agent:
        refused(agent, "label.key", "broken")


def test_a_full_process_table():
    with Agent("--port", NOBODY_LISTENS, env={"LD_PRELOAD": str(BUILD / "clock.so"), "WSVITALS_NO_FORK": "1"}, wait=False) as agent:
        refused(agent, "process table")


def test_without_root():
    done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", str(WSVITALS), "run", "--port", "7"], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert "sudo" in done.stderr


@pytest.mark.parametrize("command", [["snapshot"], ["snapshot", "--json"], ["reload"], ["reset", "--yes"]], ids=" ".join)
def test_commands_without_an_agent_say_so(place, command):
    done = subprocess.run([str(WSVITALS), *command, "--run-dir", str(place)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert "no agent runs here" in done.stderr and "wsvitals run" in done.stderr


# -- counting -------------------------------------------------------------------------------------------------------------

def test_the_agents_numbers_are_the_clients(running):
    peer = Peer(running("node_ws"))
    with Agent("--port", peer.running.port) as agent:
        for name in ("every_length", "fragments_with_pings_between", "pipelined_bursts"):
            SCENARIOS[name].run(peer)
        peer.running.wait_idle()
        dump = agent.metrics_when(lambda d: d["connections"]["closed"] == peer.tally["closed"] and d["capture"]["ending"] == 0)
        assert_equal(dump, peer.tally)
        for form, word in (("--table", "Connections"), ("--prometheus", "# TYPE wsvitals_connections gauge"), ("--json", '"counting_since"')):
            status, out, err = agent.command("snapshot", form)
            assert status == 0 and word in out, err
        assert json.loads(agent.command("snapshot", "--json")[1])["messages"]["received"] == peer.tally["received"]


def test_two_agents_side_by_side_keep_to_their_scopes(running):
    one, two = Peer(running("node_ws")), Peer(running("go_gorilla"))
    with Agent("--port", one.running.port) as first, Agent("--port", two.running.port) as second:
        together(lambda i: SCENARIOS["every_length"].run(one if i % 2 else two), 2)
        for agent, peer in ((first, one), (second, two)):
            peer.running.wait_idle()
            dump = agent.metrics_when(lambda d: d["connections"]["closed"] == peer.tally["closed"] and d["capture"]["ending"] == 0)
            assert_equal(dump, peer.tally)
            assert list(dump["connections"]["by_server"]) == [f"{peer.server.comm}:{peer.running.port}"]


def test_pseudonyms_stay_the_same_after_a_restart(running, place):
    peer, seen = Peer(running("node_ws")), []
    c = None
    for _ in range(2):
        with Agent("--port", peer.running.port, directory=place) as agent:
            c = peer.connect()
            c.ask("hello")
            dump = agent.metrics_when(lambda d: d["connections"]["total"] == 1)
            seen.append(list(dump["connections"]["by_user"]))
            c.close(1000)
            agent.end()
    assert seen[0] == seen[1] and re.fullmatch(r"[0-9a-f]{12}", seen[0][0])


def test_reset_zeroes_and_the_books_still_balance(running):
    peer = Peer(running("node_ws"))
    with Agent("--port", peer.running.port) as agent:
        c = peer.connect()
        for _ in range(20):
            c.ask("hello")
        before = agent.metrics_when(lambda d: d["messages"]["received"] == 20)
        status, out, err = agent.command("reset")
        assert status == 1 and out == "" and "--yes" in err, "nobody was asked"
        assert agent.metrics()["messages"]["received"] == 20
        assert agent.command("reset", "--yes")[0] == 0
        dump = agent.metrics_when(lambda d: d["messages"]["received"] == 0)
        assert dump["connections"]["total"] == 1 and dump["messages"]["bytes_sent"] == 0
        assert dump["counting_since"] >= before["timestamp"]
        assert_balanced(dump)
        c.ask("again")
        c.close(1000)
        dump = agent.metrics_when(lambda d: d["connections"]["closed"] == 1 and d["capture"]["ending"] == 0)
        assert (dump["messages"]["received"], dump["messages"]["sent"]) == (1, 1)
        assert_balanced(dump)


def test_a_clock_that_jumps_changes_timestamps_only(running, place):
    clock = place / "clock"
    clock.write_bytes(struct.pack("q", 0))
    peer = Peer(running("node_ws"))
    with Agent("--port", peer.running.port, env={"LD_PRELOAD": str(BUILD / "clock.so"), "WSVITALS_CLOCK": str(clock)}) as agent:
        c = peer.connect()
        for jump in (-7200, 86400 * 400, 0):
            c.ask("hello")
            with open(clock, "r+b") as f:
                f.write(struct.pack("q", jump))
            time.sleep(1.5)
            c.ask("hello")
            dump = agent.metrics_when(lambda d: d["messages"]["received"] == peer.tally["received"])
            stamp = datetime.strptime(dump["timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
            assert abs(stamp - time.time() - jump) < 30
            assert 0 < dump["uptime_seconds"] < 120
            assert 0 < dump["messages"]["rate_1m"] < 100 and dump["messages"]["latency"]["max"] < 5000
            assert dump["connections"]["open_age"]["max"] < 120
            assert agent.ask("/healthz", token=False).status == 200
            assert_balanced(dump)
        c.close(1000)


@pytest.mark.flaky(reruns=2)  # memory is the allocator's affair too
def test_memory_and_descriptors_stay_flat(running):
    peer = Peer(running("go_gorilla"))

    def load():
        together(lambda i: SCENARIOS["pipelined_bursts"].run(peer), 8)
        for _ in range(15):
            agent.ask("/metrics")
            agent.ask("/api/websocket/metrics/?window=1m")
            time.sleep(0.06)
        peer.running.wait_idle()
        time.sleep(1.5)

    def footprint():
        return [(len(descriptors(pid)), int(status_of(pid)["VmRSS"].split()[0])) for pid in (agent.pid, agent.agent_pid)]

    def writes():
        return [link for link in descriptors(agent.agent_pid).values() if link.endswith("-wal")]

    with Agent("--port", peer.running.port) as agent:
        load()
        wait_until(writes, "the first interval of history, whose files stay open", 25)
        load()
        before = footprint()
        for _ in range(3):
            load()
        after = footprint()
    for (fds, memory), (fds_after, memory_after) in zip(before, after):
        assert fds_after <= fds + 1, (before, after)
        assert memory_after <= memory * 1.05 + 512, (before, after)


def test_doctor_names_processes_that_cannot_be_seen_and_why(running):
    """A TLS hello on the watched port: the server that reads it is named."""
    server = running("go_gorilla")
    with Agent("--port", server.port) as agent:
        status, out, _ = agent.command("doctor")
        assert status == 0 and "every socket in scope can be followed" in out, out
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(b"\x16\x03\x01\x00\xf4\x01" + bytes(200))
            s.shutdown(socket.SHUT_WR)
            while s.recv(4096):
                pass
        dump = agent.metrics_when(lambda d: d["capture"]["unseen"])
        row, = dump["capture"]["unseen"]
        assert (row["pid"], row["name"], row["reason"], row["sockets"]) == (server.pid, "go_gorilla", "tls", 1)
        assert row["executable"] == os.readlink(f"/proc/{server.pid}/exe")
        assert dump["capture"]["losses"]["tls"] >= 1
        status, out, _ = agent.command("doctor")
        assert status == 0 and re.search(rf"go_gorilla, process {server.pid} +it speaks TLS itself: 1 sockets", out), out


# -- the log --------------------------------------------------------------------------------------------------------------

def test_each_line_is_structured_and_a_repeated_problem_is_one_line():
    with Agent("--port", NOBODY_LISTENS) as agent:
        statuses = [agent.ask("/login?code=wrong", token=False).status for _ in range(15)]
        assert statuses == [401] * 10 + [429] * 5
        _, log = agent.end()
    lines = log.splitlines()
    assert all(re.fullmatch(r'ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=\w+ part=(agent|keeper) msg=".*"( held_back=\d+)?', l)
               for l in lines), log
    # each refused login is on record, as the lockout bounds them; what comes after it is one line
    assert len([l for l in lines if "refused, it is wrong or has been used" in l]) == 10, log
    assert len([l for l in lines if "refused, too many wrong ones" in l]) == 1, log


def test_under_the_journal_lines_have_priorities(place):
    """systemd gives the device and inode of the stream that leads to the journal."""
    stream = place / "stderr"  # where class Agent leads the agent's stderr
    stream.touch()
    st = stream.stat()
    with Agent("--port", NOBODY_LISTENS, directory=place, env={"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"}) as agent:
        agent.ask(agent.link, token=False)
        agent.ask("/login?code=wrong", token=False)
        _, log = agent.end()
    assert re.search(r"^<6>level=info part=keeper msg=", log, re.M) and re.search(r"^<4>level=warning part=agent msg=", log, re.M), log
    assert "ts=" not in log

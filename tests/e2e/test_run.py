"""scripts/run as a newcomer uses it, and what make install leaves."""
import os
import re
import signal
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from servers import free_port, wait_until
from watch import ROOT, WSVITALS


def test_the_demo_shows_living_numbers_and_ends_with_ctrl_c():
    with tempfile.TemporaryDirectory(prefix="wsvitals-") as name:
        os.chmod(name, 0o755)
        place, port = Path(name), free_port()
        out = open(place / "out", "w+")
        process = subprocess.Popen([str(ROOT / "scripts" / "run"), "--demo", "--listen", f"127.0.0.1:{port}", "--db", f"{place}/db",
                                    "--run-dir", f"{place}/run"], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            wait_until(lambda: "a token" in (place / "out").read_text(), "the greeting", 120)
            greeting = (place / "out").read_text()
            assert f"http://127.0.0.1:{port}/" in greeting and "ssh -L" in greeting and "snapshot" in greeting
            link = re.search(r"http://\S+/login\?code=\S+", greeting)[0]
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with opener.open(link) as answer:
                assert answer.status == 200

            def snapshot():
                done = subprocess.run([str(WSVITALS), "snapshot", "--run-dir", f"{place}/run"], capture_output=True, text=True)
                return done.stdout

            wait_until(lambda: re.search(r"^python3:18765 .* [1-9]", snapshot(), re.M), "the demo's server to show", 20)
            assert "All books balance" in snapshot()
            group = os.getpgid(process.pid)
            os.killpg(group, signal.SIGINT)  # what a terminal does at Ctrl-C
            process.wait(15)
            wait_until(lambda: not processes_of(group), "everything to end")
            assert not list((place / "run").glob("*.sock"))
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            out.close()


def processes_of(group):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


def test_make_install_puts_everything_in_its_place():
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["make", "-C", str(ROOT), "install", f"DESTDIR={name}", "PREFIX=/usr"], check=True, capture_output=True)
        files = {str(p.relative_to(name)): p for p in Path(name).rglob("*") if p.is_file()}
        assert set(files) >= {"usr/sbin/wsvitals", "usr/lib/systemd/system/wsvitals.service", "usr/lib/sysusers.d/wsvitals.conf",
                              "etc/wsvitals/wsvitals.conf", "usr/share/doc/wsvitals/README.md"}
        assert "ExecStart=/usr/sbin/wsvitals run" in files["usr/lib/systemd/system/wsvitals.service"].read_text()
        done = subprocess.run([str(files["usr/sbin/wsvitals"]), "config", "--config", str(files["etc/wsvitals/wsvitals.conf"]),
                               "--run-dir", name], capture_output=True, text=True)
        assert done.returncode == 0 and "/var/lib/wsvitals" in done.stdout, done.stderr
        # a configuration of one's own is kept
        files["etc/wsvitals/wsvitals.conf"].write_text("[agent]\nlog-level = debug\n")
        subprocess.run(["make", "-C", str(ROOT), "install", f"DESTDIR={name}", "PREFIX=/usr"], check=True, capture_output=True)
        assert "debug" in files["etc/wsvitals/wsvitals.conf"].read_text()
        subprocess.run(["make", "-C", str(ROOT), "uninstall", f"DESTDIR={name}", "PREFIX=/usr"], check=True, capture_output=True)
        left = {str(p.relative_to(name)) for p in Path(name).rglob("*") if p.is_file()}
        assert left == {"etc/wsvitals/wsvitals.conf"}

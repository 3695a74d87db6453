"""Whole runs on other kernels: Debian's own, booted in a virtual machine without acceleration. `make campaign-kernels` installs
what this needs; it is no part of scripts/test because it downloads kernels.

Each machine shows what the verifier there says of every program, and what wsvitals counts of a load against what the load
did; a kernel that lacks a tracepoint shows that this is said.
"""
import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "vm"
PROGRAMS = ("build/wsvitals", "build/tests/bpf/verifier", "build/tests/bench/load", "build/tests/bench/serve")
APPLETS = ("sh", "mount", "ip", "uname", "cat", "grep", "sleep", "kill", "echo", "poweroff")
BOOT_SECONDS = 300


def kernel_image(version):
    """The newest of Debian's cloud kernels whose version begins so, downloaded and unpacked: the path of its image."""
    names = subprocess.run(["apt-cache", "pkgnames", f"linux-image-{version}"], capture_output=True, text=True, check=True).stdout.split()
    names = [n for n in names if re.fullmatch(rf"linux-image-{re.escape(version)}[0-9.+a-z-]*-cloud-amd64-unsigned", n)]
    assert names, f"apt knows no kernel {version} for clouds"
    newest = max(names, key=lambda n: [int(number) for number in re.findall(r"\d+", n)])
    place = BUILD / newest
    if not place.exists():
        place.mkdir(parents=True)
        try:
            subprocess.run(["apt-get", "download", "-qq", newest], cwd=place, check=True, capture_output=True)
            deb, = place.glob("*.deb")
            subprocess.run(["dpkg", "-x", deb, place], check=True)
        except BaseException:
            shutil.rmtree(place)
            raise
    return next(place.glob("boot/vmlinuz-*"))


def libraries(program):
    out = subprocess.run(["ldd", program], capture_output=True, text=True).stdout  # it fails where there are none
    return re.findall(r"(/\S+) \(0x", out)


@pytest.fixture(scope="module")
def initramfs():
    """Our programs, what they are linked with, and busybox, as the kernel unpacks it at its start."""
    root = BUILD / "root"
    shutil.rmtree(root, ignore_errors=True)
    for directory in ("bin", "proc", "sys", "dev", "tmp", "run", "etc"):
        (root / directory).mkdir(parents=True)
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    shutil.copy(Path(__file__).parent / "init", root / "init")
    shutil.copy(ROOT / "build/bpf/socket.bpf.o", root)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    for program in (*(ROOT / name for name in PROGRAMS), Path("/bin/busybox")):
        shutil.copy(program, root / "bin")
        for library in libraries(program):
            (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root / library[1:])
    files = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=files, capture_output=True, check=True).stdout
    path = BUILD / "initramfs.gz"
    path.write_bytes(gzip.compress(archive, 1))
    return path


def boot(version, initramfs):
    """{section: lines} of what init said."""
    command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "768", "-nographic", "-no-reboot", "-kernel", kernel_image(version),
               "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_SECONDS)
    text = done.stdout.decode(errors="replace").replace("\r", "")
    parts = dict(re.findall(r"^.*?== (\w+)\n(.*?)(?=^== |\Z)", text, re.M | re.S))
    assert "end" in parts, text[-3000:]
    return parts


def test_linux_6_12_counts_exactly(initramfs):
    said = boot("6.12", initramfs)
    assert said["kernel"].startswith("6.12.")
    assert re.search(r"^(\d\d) passed, 0 failed$", said["verifier"], re.M), said["verifier"]
    assert "does not have" not in said["doctor"], said["doctor"]
    result = json.loads(next(line for line in said["counting"].splitlines() if line.startswith("{")))
    dump = json.loads(said["dump"])
    assert result["sent"] == result["answered"] > 1000
    assert (dump["messages"]["received"], dump["messages"]["sent"]) == (result["sent"], result["sent"])
    assert dump["messages"]["bytes_received"] == 100 * result["sent"]
    assert dump["capture"]["messages"]["timed"] == result["sent"]
    assert (dump["connections"]["created"], dump["connections"]["closed"]) == (8, 8)
    assert dump["capture"]["balanced"] is True


def test_linux_6_1_is_told_what_it_lacks(initramfs):
    said = boot("6.1.0", initramfs)
    assert said["kernel"].startswith("6.1.")
    assert said["dump"] == ""
    assert "does not have the tracepoint sock_recv_length" in said["counting"], said["counting"]
    for tracepoint in ("sock_recv_length", "sock_send_length", "sk_data_ready"):
        assert re.search(rf"NO +tp_btf/{tracepoint} ", said["doctor"]), said["doctor"]

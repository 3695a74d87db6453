"""Who gets in, and what may not: point 6 of the dashboard. Each test fails when its rule is taken away."""
import re
import socket
import ssl
import subprocess
import time

import pytest

from agent import Agent, free_port

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def agent():
    with Agent("--port", "1") as agent:
        yield agent


def post(agent, path, body="", **headers):
    """A POST as a browser sends it: (status, headers, body)."""
    lines = {"Host": f"127.0.0.1:{agent.port}", "Content-Type": FORM, "Content-Length": str(len(body)), "Connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    text = f"POST {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items() if v is not None) + "\r\n" + body
    with socket.create_connection((agent.host, agent.port), 10) as s:
        s.sendall(text.encode())
        data = b""
        while chunk := s.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in rest)}, body.decode()


def login(agent, token=None, **headers):
    status, answer, _ = post(agent, "/login", f"token={token or agent.token}", **headers)
    assert status == 303, status
    return answer["set-cookie"]


def cookie(header):
    return header.split(";")[0]


def wait_for_line(agent, pattern, seconds=5):
    until = time.monotonic() + seconds
    while not re.search(pattern, agent.log()):
        assert time.monotonic() < until, f"{pattern} is not in:\n{agent.log()}"
        time.sleep(0.1)


# --- the page and the login

def test_a_browser_without_a_session_is_led_to_the_login(agent):
    answer = agent.ask("/", token=False)
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    answer = agent.ask("/", token=False, headers={"Cookie": "wsvitals_session=wsv_gone"})
    assert (answer.status, answer.headers["location"]) == (303, "/login")


def test_programs_and_data_are_not_led_anywhere(agent):
    assert agent.ask("/api/websocket/metrics/", token=False).status == 401
    assert agent.ask("/page.js", token=False).status == 401
    assert agent.ask("/", token="wsv_wrong").status == 401


def test_the_login_page_needs_nothing_that_needs_a_session(agent):
    answer = agent.ask("/login", token=False)
    assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    needed = re.findall(r'(?:href|src)="([^"]+)"', answer.text)
    assert "page.css" in needed
    for path in needed:
        assert agent.ask(f"/{path}", token=False).status == 200, path


def test_a_token_in_the_form_opens_a_session(agent):
    header = login(agent)
    assert "HttpOnly" in header and "SameSite=Strict" in header and "Path=/;" in header and "Secure" not in header
    page = agent.ask("/", token=False, headers={"Cookie": cookie(header)})
    assert page.status == 200 and "<script type=\"module\" src=\"page.js\">" in page.text
    assert agent.ask("/api/websocket/metrics/", token=False, headers={"Cookie": cookie(header)}).status == 200


def test_logging_out_ends_the_session(agent):
    session = cookie(login(agent))
    status, headers, _ = post(agent, "/logout", Cookie=session)
    assert status == 200 and "Max-Age=0" in headers["set-cookie"]
    assert agent.ask("/api/websocket/metrics/", token=False, headers={"Cookie": session}).status == 401


@pytest.mark.parametrize("body, status", [("token=wsv_wrong", 401), ("token=", 401), ("", 400), ("x=y", 400), ("token=%zz", 401), ("token=a&token=b", 401)])
def test_what_is_no_staff_token_does_not(body, status):
    with Agent("--port", "1") as agent:
        answer, headers, text = post(agent, "/login", body)
        assert answer == status and "set-cookie" not in headers
        assert "<form" in text and 'role="alert">' in text


def test_a_scrape_token_does_not(agent):
    token = agent.add_token("scraper", "scrape")
    assert post(agent, "/login", f"token={token}")[0] == 401


def test_a_login_must_be_a_form_and_short(agent):
    assert post(agent, "/login", "{}", Content_Type="application/json")[0] == 415
    assert post(agent, "/login", "token=" + "x" * 600)[0] == 413
    assert post(agent, "/logout", "x=y")[0] == 413  # no other path takes a body
    assert post(agent, "/login", "", Transfer_Encoding="chunked", Content_Length=None)[0] == 413


def test_the_one_time_link_works_once():
    with Agent("--port", "1") as agent:
        first = agent.ask(agent.link, token=False)
        assert first.status == 303 and "wsvitals_session=wsv_" in first.headers["set-cookie"]
        assert agent.ask(agent.link, token=False).status == 401


def test_wrong_tokens_lock_their_address_for_logins():
    with Agent("--port", "1") as agent:
        statuses = [post(agent, "/login", "token=wsv_wrong")[0] for _ in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        status, headers, text = post(agent, "/login", f"token={agent.token}")
        assert status == 429 and int(headers["retry-after"]) > 0 and "Wait a minute" in text
        assert agent.ask("/api/websocket/metrics/").status == 200  # a right token as such still passes
        wait_for_line(agent, "login from 127.0.0.1 with a token: refused, too many")


# --- other sites

@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example.org"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
    {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site", "Origin": "http://127.0.0.1"},
])
def test_a_form_of_another_site_changes_nothing(agent, headers):
    session = cookie(login(agent))
    assert post(agent, "/login", f"token={agent.token}", **headers)[0] == 403
    assert post(agent, "/logout", Cookie=session, **headers)[0] == 403
    assert agent.ask("/api/websocket/metrics/", token=False, headers={"Cookie": session}).status == 200


def test_our_own_form_passes(agent):
    login(agent, Origin=f"http://127.0.0.1:{agent.port}", Sec_Fetch_Site="same-origin")
    login(agent, Origin=f"http://127.0.0.1:{agent.port}")


@pytest.mark.parametrize("name", ["rebind.example.org", "rebind.example.org:9797", "127.0.0.1.example.org", "192.0.2.1"])
def test_a_name_that_somebody_made_point_here_is_refused(agent, name):
    for path in ("/", "/login", "/api/websocket/metrics/", "/nowhere"):
        answer = agent.ask(path, headers={"Host": name})
        assert answer.status == 421 and "host = NAME" in answer.json["error"], path
    assert post(agent, "/login", f"token={agent.token}", Host=name)[0] == 421
    assert agent.ask("/healthz", headers={"Host": name}).status in (200, 503)


def test_names_in_the_configuration_are_ours():
    with Agent("--port", "1", "--host", "metrics.example.org,b.example.org") as agent:
        assert agent.ask("/api/websocket/metrics/", headers={"Host": "metrics.example.org"}).status == 200
        assert agent.ask("/api/websocket/metrics/", headers={"Host": "B.example.org:8443"}).status == 200
        assert agent.ask("/api/websocket/metrics/", headers={"Host": "c.example.org"}).status == 421
        login(agent, Host="metrics.example.org", Origin="https://metrics.example.org")


# --- headers

@pytest.mark.parametrize("path", ["/", "/login", "/page.js", "/page.css"])
def test_the_page_may_do_only_what_it_must(agent, path):
    headers = agent.ask(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY" and headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/api/websocket/metrics/", "/metrics", "/nowhere", "/healthz"])
def test_data_is_never_a_page(agent, path):
    """Opened by itself, in a frame, or with markup in it: a browser does nothing with it."""
    headers = agent.ask(path).headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer" and headers["cache-control"] == "no-store"


def test_nothing_is_inline(agent):
    for path in ("/", "/login"):
        text = agent.ask(path).text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text), path
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), path


def test_files_are_asked_for_by_their_tag(agent):
    first = agent.ask("/page.js", headers={"Accept-Encoding": "gzip"})
    assert first.status == 200 and first.headers["content-encoding"] == "gzip"
    assert "no-cache" in first.headers["cache-control"]
    again = agent.ask("/page.js", headers={"Accept-Encoding": "gzip", "If-None-Match": first.headers["etag"]})
    assert again.status == 304 and not again.body


def test_all_files_together_are_small(agent):
    sizes = {path: len(agent.ask(path, headers={"Accept-Encoding": "gzip"}).body) for path in ("/", "/page.js", "/page.css", "/icon.svg")}
    assert sum(sizes.values()) <= 60_000, sizes
    assert sizes["/page.js"] > 10_000, sizes


def test_the_agent_says_what_the_page_must_know(agent):
    about = agent.ask("/api/websocket/about/").json
    assert about["scope"] == "port 1" and about["version"] and about["engine"] is None
    assert about["verdict"]["errors-factor"] == 3 and about["verdict"]["drop-percent"] == 30


def test_under_a_base_path_everything_moves():
    with Agent("--port", "1", "--base-path", "/admin/metrics") as agent:
        assert agent.ask("/admin/metrics").headers["location"] == "/admin/metrics/"
        assert agent.ask("/admin/metrics/", token=False).headers["location"] == "/admin/metrics/login"
        assert agent.ask("/admin/metrics/").status == 200
        assert agent.ask("/admin/metrics/page.js").status == 200
        status, headers, _ = post(agent, "/admin/metrics/login", f"token={agent.token}")
        assert status == 303 and headers["location"] == "/admin/metrics/" and "Path=/admin/metrics/;" in headers["set-cookie"]


# --- proxies

def test_forwarded_headers_count_only_from_named_proxies(agent):
    """Locking 192.0.2.9 out must not be possible for whoever writes it into a header."""
    assert "Secure" not in login(agent, X_Forwarded_Proto="https")
    with Agent("--port", "1", "--trusted-proxy", "127.0.0.0/8") as behind:
        assert "; Secure" in login(behind, X_Forwarded_Proto="https", X_Forwarded_For="192.0.2.1")
        for _ in range(10):
            assert post(behind, "/login", "token=wsv_wrong", X_Forwarded_For="198.51.100.1, 192.0.2.9")[0] == 401
        assert post(behind, "/login", "token=wsv_wrong", X_Forwarded_For="192.0.2.9")[0] == 429
        assert post(behind, "/login", "token=wsv_wrong", X_Forwarded_For="192.0.2.10")[0] == 401
        wait_for_line(behind, "login from 192.0.2.9 with a token: refused")
        # the proxy says what it was asked for, and that is what must be ours
        assert behind.ask("/healthz").status == behind.ask("/api/websocket/metrics/").status == 200
        assert behind.ask("/api/websocket/metrics/", headers={"X-Forwarded-Host": "evil.example.org"}).status == 421
        assert behind.ask("/api/websocket/metrics/", headers={"Host": "inside", "X-Forwarded-Host": f"127.0.0.1:{behind.port}"}).status == 200
        assert post(behind, "/login", f"token={behind.token}", X_Forwarded_Host="127.0.0.1", Origin="http://127.0.0.1", X_Forwarded_For="192.0.2.11")[0] == 303
    with Agent("--port", "1") as plain:
        for i in range(10):
            assert post(plain, "/login", "token=wsv_wrong", X_Forwarded_For=f"192.0.2.{i}")[0] == 401
        assert post(plain, "/login", "token=wsv_wrong", X_Forwarded_For="192.0.2.99")[0] == 429
        assert plain.ask("/api/websocket/metrics/", headers={"X-Forwarded-Host": "evil.example.org"}).status == 200
        assert plain.ask("/api/websocket/metrics/", headers={"Host": "evil.example.org", "X-Forwarded-Host": "127.0.0.1"}).status == 421


# --- the record

def test_who_came_and_went_is_on_record():
    with Agent("--port", "1") as agent:
        session = cookie(login(agent, agent.add_token("alice")))
        wait_for_line(agent, r"token `alice' was added, role staff")
        wait_for_line(agent, r"login from 127.0.0.1 with a token: session of token `alice' begins")
        post(agent, "/login", "token=wsv_wrong")
        wait_for_line(agent, "login from 127.0.0.1 with a token: refused, it is wrong")
        agent.ask(agent.link, token=False)
        wait_for_line(agent, r"login from 127.0.0.1 with the one-time link: session of token `first' begins")
        assert agent.command("token", "revoke", "alice")[0] == 0
        wait_for_line(agent, r"token `alice' was revoked, its sessions end")
        assert agent.ask("/api/websocket/metrics/", token=False, headers={"Cookie": session}).status == 401
        post(agent, "/logout", Cookie=cookie(login(agent)))
        wait_for_line(agent, "logout from 127.0.0.1")
        assert "wsv_" not in agent.log()


# --- TLS

def certificate(directory, name, subject):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={subject}",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(directory / f"{name}.key"), "-out", str(directory / f"{name}.pem")],
                   check=True, capture_output=True)
    (directory / f"{name}.key").chmod(0o600)
    return directory / f"{name}.pem", directory / f"{name}.key"


def served(agent, authority=None, path="/healthz", method="GET", body=""):
    """Over TLS: (the certificate's subject or None, the answer's head)."""
    context = ssl.create_default_context(cafile=authority) if authority else ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", agent.port), 10) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
        assert s.version() in ("TLSv1.2", "TLSv1.3")
        s.sendall(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        data = b""
        while chunk := s.recv(65536):
            data += chunk
        subject = dict(part[0] for part in s.getpeercert()["subject"])["commonName"] if authority else None
        return subject, data.partition(b"\r\n\r\n")[0].decode()


def test_tls_with_a_certificate_that_changes(tmp_path):
    one = certificate(tmp_path, "one", "first.example")
    two = certificate(tmp_path, "two", "second.example")
    pem, key = tmp_path / "agent.pem", tmp_path / "agent.key"
    pem.write_bytes(one[0].read_bytes())
    key.write_bytes(one[1].read_bytes())
    key.chmod(0o600)
    with Agent("--port", "1", "--tls-cert", pem, "--tls-key", key, host="0.0.0.0") as agent:  # beyond loopback without --insecure-listen
        assert any(line.strip().startswith("open         https://") for line in agent.lines)
        subject, head = served(agent, one[0])
        assert subject == "first.example" and head.startswith("HTTP/1.1 200")
        _, head = served(agent, one[0], "/login", "POST", f"token={agent.add_token('x')}")
        assert head.startswith("HTTP/1.1 303") and "; Secure" in head
        pem.write_bytes(two[0].read_bytes())  # belongs to another key for a moment
        wait_for_line(agent, "the TLS certificate cannot be used: .*; the one before stays")
        assert served(agent, one[0])[0] == "first.example"
        key.write_bytes(two[1].read_bytes())
        wait_for_line(agent, "the TLS certificate has changed")
        assert served(agent, two[0])[0] == "second.example"
        with pytest.raises(ssl.SSLError):
            served(agent, one[0])
        assert "BEGIN" not in agent.log()


@pytest.mark.parametrize("arguments, why", [
    (["--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.key"], "cannot read /nowhere.pem: No such file or directory"),
    (["--tls-cert", "/etc/hostname"], "tls-cert and tls-key belong together"),
    (["--tls-cert", "/etc/hostname", "--tls-key", "/etc/hostname"], "the TLS certificate cannot be used"),
    (["--tls-cert", "relative.pem"], "takes the absolute path of a file"),
    (["--trusted-proxy", "10.0.0.1/8"], "takes addresses or networks"),
    (["--host", "http://x"], "takes names without a port"),
])
def test_wrong_settings_are_refused_in_words(arguments, why):
    with Agent("--port", "1", *arguments, wait=False) as agent:
        status, log = agent.wait()
        assert status != 0 and why in log, log
        assert not agent.left_over()


@pytest.mark.parametrize("text, why", [
    ("[verdict]\nerrors-factor = 0\n", "errors-factor takes a number above 0"), ("[verdict]\nlisten = 127.0.0.1:1\n", "[verdict] has no key `listen'; it takes errors-factor,"),
    ("[agent]\ndrop-least = 1\n", "[agent] has no key `drop-least'"), ("[verdicts]\n", "there is no section `[verdicts]'; this version knows [agent], [verdict], [store]"),
])
def test_sections_of_the_configuration_are_kept_apart(tmp_path, text, why):
    config = tmp_path / "wsvitals.conf"
    config.write_text(text)
    with Agent("--port", "1", config=config, wait=False) as agent:
        status, log = agent.wait()
        assert status != 0 and why in log, log


def test_the_verdicts_thresholds_are_read_again(tmp_path):
    config = tmp_path / "wsvitals.conf"
    config.write_text("[verdict]\ndrop-percent = 12.5\n")
    with Agent("--port", "1", config=config) as agent:
        assert agent.ask("/api/websocket/about/").json["verdict"]["drop-percent"] == 12.5
        config.write_text("[agent]\n[verdict]\ndrop-percent = 50\nlatency-least = 0.5\n")
        assert agent.command("reload")[0] == 0
        assert agent.ask("/api/websocket/about/").json["verdict"] == {
            "errors-factor": 3, "errors-least": 1, "latency-factor": 3, "latency-least": 0.5, "drop-percent": 50, "drop-least": 10}

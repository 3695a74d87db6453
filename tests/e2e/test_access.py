"""Who gets in (SPEC §7): tokens, sessions, the one-time link, limits; on a running agent, with the commands that people use."""
import json
import os
import re
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent import Agent, free_port
from servers import wait_until

METRICS = "/api/websocket/metrics/"


@pytest.fixture
def agent():
    with Agent("--port", free_port()) as agent:
        yield agent


def status_of(agent, token, path=METRICS, **options):
    return agent.ask(path, token=token, **options).status


def session_of(answer):
    """The session in Set-Cookie, whose attributes are checked."""
    cookie = answer.headers["set-cookie"]
    found = re.fullmatch(r"wsvitals_session=(wsv_[A-Za-z0-9_-]{43}); Path=(/[^;]*); Max-Age=43200; HttpOnly; SameSite=Strict", cookie)
    assert found, cookie
    return found[1]


def as_session(session):
    return {"Cookie": f"theme=dark; wsvitals_session={session}"}


# --- tokens ---

def test_tokens_are_seen_at_once_when_added_and_when_revoked(agent):
    for i in range(5):
        token = agent.add_token(f"t{i}")
        assert status_of(agent, token) == 200
        assert agent.command("token", "revoke", f"t{i}")[0] == 0
        assert status_of(agent, token) == 401


def test_a_token_is_shown_once_and_kept_as_a_hash_only(agent):
    status, out, err = agent.command("token", "add", "ops")
    token = out.strip()
    assert status == 0 and re.fullmatch(r"wsv_[A-Za-z0-9_-]{43}", token) and "the only time" in err
    assert status_of(agent, token) == 200
    agent.ask("/login?code=" + token, token=False)
    status, out, err = agent.command("token", "list")
    assert status == 0 and token not in out + err
    agent.end()  # it has written all that it writes
    for path in [*agent.db.rglob("*"), *agent.run_dir.rglob("*"), agent.directory / "stderr"]:
        if path.is_file():
            data = path.read_bytes()
            assert token.encode() not in data and token[4:].encode() not in data, path
    assert token not in "\n".join(agent.lines)


def test_files_of_the_data_directory_are_for_their_owner_only(agent):
    agent.add_token("ops")
    owner = os.stat(agent.db)
    assert stat.S_IMODE(owner.st_mode) == 0o700 and owner.st_uid != 0
    names = set()
    for path in agent.db.iterdir():
        names.add(path.name)
        assert not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) == 0o600, path
        assert path.lstat().st_uid == owner.st_uid or path.name in ("lock", "tokens.lock"), path
    assert {"tokens", "tokens.lock", "first-token", "label.key", "lock"} <= names
    assert (agent.run_dir / "agent.sock").lstat().st_uid == 0
    assert stat.S_IMODE((agent.run_dir / "agent.sock").lstat().st_mode) in (0o600, 0o660)


def test_roles(agent):
    staff, scrape = agent.add_token("ops"), agent.add_token("prom", "scrape")
    answer = agent.ask(METRICS, token=scrape)
    assert (answer.status, answer.json) == (403, {"error": "Only staff can view metrics"})
    assert [status_of(agent, scrape, p) for p in ("/metrics", "/", "/nothing", "/healthz")] == [200, 403, 404, 200]
    assert [status_of(agent, staff, p) for p in ("/metrics", "/", "/nothing", METRICS)] == [200, 200, 404, 200]
    assert status_of(agent, scrape, "/logout", method="POST") == 403
    assert agent.ask("/login?code=" + scrape, token=False).status == 401
    assert agent.ask("/", token=False).headers["location"] == "/login", "a person may log in"
    for token in (False, "wsv_" + "A" * 43):
        answers = [agent.ask(p, token=token) for p in (METRICS, "/metrics", "/page.js", "/nothing", "/local/version")]
        assert {a.status for a in answers} == {401}, "an unknown path is no news for strangers"
        assert all(a.headers["www-authenticate"].startswith("Bearer") for a in answers)


def test_list_shows_roles_and_last_use(agent):
    agent.add_token("unused")
    used = agent.add_token("used", "scrape")
    before = time.time()
    assert status_of(agent, used, "/metrics") == 200
    agent.end()
    status, out, err = agent.command("token", "list")
    assert status == 0 and err == ""
    head, *lines = out.splitlines()
    assert head.split() == ["NAME", "ROLE", "CREATED", "LAST", "USED"]
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["first"][0] == rows["unused"][0] == "staff" and rows["used"][0] == "scrape"
    assert rows["unused"][3:] == ["never"]
    last = time.strptime(" ".join(rows["used"][3:5]), "%Y-%m-%d %H:%M:%SZ")
    assert before - 2 <= time.mktime(last) - time.timezone <= time.time() + 1


@pytest.mark.parametrize("args, words", [
    (["add"], "give `token add NAME"), (["add", "a b"], "a token's name has"), (["add", "../x"], "a token's name has"), (["add", ""], "a token's name has"),
    (["add", "x", "--role", "admin"], "role"), (["revoke", "nobody"], "there is no token of the name nobody"), (["revoke"], "give `token add NAME"),
    (["add", "first"], "there is a token of the name first"), (["remove", "x"], "give `token add NAME"), (["list", "x"], "give `token add NAME"), ([], "give `token"),
], ids=lambda a: " ".join(a) if isinstance(a, list) else "")
def test_wrong_commands_change_nothing(place_with_tokens, args, words):
    agent, before = place_with_tokens
    status, out, err = agent.command("token", *args)
    assert status in (1, 2) and out == "" and words in err and err.count("\n") == 1, (status, err)
    assert (agent.db / "tokens").read_bytes() == before


@pytest.fixture(scope="module")
def place_with_tokens():
    with Agent("--port", free_port()) as agent:
        yield agent, (agent.db / "tokens").read_bytes()


def test_commands_at_the_same_time_lose_no_token(agent):
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda i: agent.add_token(f"t{i}"), range(16)))
        assert [status_of(agent, token) for token in tokens] == [200] * 16
        list(pool.map(lambda i: agent.command("token", "revoke", f"t{i}"), range(0, 16, 2)))
    assert [status_of(agent, token) for token in tokens] == [401, 200] * 8


def test_a_broken_token_file_keeps_what_was_known_and_says_so(agent):
    token = agent.add_token("ops")
    assert status_of(agent, token) == 200
    good = (agent.db / "tokens").read_bytes()
    for broken in (good + b"half a line\n", b"\0" + good, b"x" * 70000):
        (agent.db / "tokens").write_bytes(broken)
        assert status_of(agent, token) == 200
        assert status_of(agent, "wsv_" + "A" * 43) == 401
    assert agent.command("token", "add", "more")[0] == 1
    line, = [line for line in agent.log().splitlines() if "stay in force" in line]
    assert f"{agent.db}/tokens:{good.count(bytes([10])) + 1}" in line and "level=error" in line
    (agent.db / "tokens").write_bytes(good)
    other = agent.add_token("other")
    assert status_of(agent, other) == status_of(agent, token) == 200
    (agent.db / "tokens").unlink()
    assert status_of(agent, token) == 401, "no file is no token"


# --- logging in ---

def test_the_first_token_and_the_one_time_link(agent):
    """Before anybody has made a token: the link logs in once; the first token has then done its work, but stays valid."""
    first, link = agent.first_token, agent.link
    assert stat.S_IMODE((agent.db / "first-token").stat().st_mode) == 0o600
    assert status_of(agent, first) == 200 and (agent.db / "first-token").exists()
    answer = agent.ask(link, token=False)
    assert (answer.status, answer.headers["location"], answer.headers["referrer-policy"]) == (303, "/", "no-referrer")
    session = session_of(answer)
    assert not (agent.db / "first-token").exists()
    assert status_of(agent, False, headers=as_session(session)) == 200
    assert status_of(agent, False, "/metrics", headers=as_session(session)) == 200
    again = agent.ask(link, token=False)
    assert again.status == 401 and "set-cookie" not in again.headers and "used" in again.text
    assert again.headers["www-authenticate"].startswith("Bearer")
    assert status_of(agent, first) == 200
    assert agent.command("token", "revoke", "first")[0] == 0
    assert status_of(agent, first) == 401
    assert status_of(agent, False, headers=as_session(session)) == 401, "it was the first token's"


def test_a_restart_has_a_new_link_and_no_new_first_token(agent):
    directory, link = agent.directory, agent.link
    first = agent.first_token
    agent.end()
    with Agent("--port", free_port(), directory=directory) as again:
        assert again.link != link and again.first_token == first
        assert again.ask(link, token=False).status == 401
        assert again.ask(again.link, token=False).status == 303


def test_sessions_end_by_logout_and_with_their_token(agent):
    token = agent.add_token("ops")
    sessions = [session_of(agent.ask("/login?code=" + token, token=False)) for _ in range(3)]
    assert len(set(sessions)) == 3
    out = agent.ask("/logout", token=False, method="POST", headers=as_session(sessions[0]))
    assert out.status == 200 and "Max-Age=0" in out.headers["set-cookie"]
    assert [status_of(agent, False, headers=as_session(s)) for s in sessions] == [401, 200, 200]
    assert agent.ask("/logout", token=False, method="GET", headers=as_session(sessions[1])).status == 405
    assert agent.command("token", "revoke", "ops")[0] == 0
    assert [status_of(agent, False, headers=as_session(s)) for s in sessions] == [401, 401, 401]


def test_a_session_is_no_token_and_a_token_no_session(agent):
    token = agent.add_token("ops")
    session = session_of(agent.ask("/login?code=" + token, token=False))
    assert status_of(agent, session) == 401
    assert status_of(agent, False, headers=as_session(token)) == 401
    assert agent.ask("/login?code=" + session, token=False).status == 401


def test_below_a_base_path_cookie_and_redirects_stay_there():
    with Agent("--port", free_port(), "--base-path", "/admin/ws") as agent:
        assert agent.link.startswith("/admin/ws/login?code=")
        answer = agent.ask(agent.link, token=False)
        assert answer.headers["location"] == "/admin/ws/" and "; Path=/admin/ws/;" in answer.headers["set-cookie"]
        root = agent.ask("/admin/ws/", token=False, headers=as_session(session_of(answer)))
        assert (root.status, root.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert agent.ask("/admin/ws/", token=False).headers["location"] == "/admin/ws/login"


def test_a_proxy_that_asks_for_a_password_is_not_in_the_way(agent):
    """nginx's auth_basic passes its Authorization on."""
    token = agent.add_token("ops")
    session = session_of(agent.ask("/login?code=" + token, token=False))
    for _ in range(12):
        assert status_of(agent, False, headers={"Authorization": "Basic b3BzOnB3", **as_session(session)}) == 200
    assert status_of(agent, False, headers={"Authorization": "Basic b3BzOnB3"}) == 401


# --- limits ---

def asks(agent, nr, *args, **options):
    """So many requests at once; their answers."""
    with ThreadPoolExecutor(nr) as pool:
        return [done.result() for done in [pool.submit(agent.ask, *args, **options) for _ in range(nr)]]


def test_twenty_requests_a_second_for_one_token(agent):
    token, other = agent.add_token("ops"), agent.add_token("other")
    time.sleep(1.1)
    start = time.monotonic()
    answers = asks(agent, 30, METRICS, token=token)
    seconds = time.monotonic() - start
    refused = [a for a in answers if a.status == 429]
    passed = [a for a in answers if a.status == 200]
    assert len(refused) + len(passed) == 30 and len(passed) >= 20
    assert len(passed) == 20 or seconds > 1, f"{len(passed)} passed within {seconds} s"
    assert refused, f"30 requests took {seconds} s"
    assert {a.headers["retry-after"] for a in refused} == {"1"}
    assert "20 requests a second" in refused[0].json["error"]
    assert status_of(agent, other) == 200
    assert agent.ask("/healthz", token=False).status == 200
    assert agent.ask_local(METRICS)[0] == 200
    time.sleep(1.05)
    assert status_of(agent, token) == 200


def test_wrong_credentials_lock_their_address_and_nobody_who_is_right(agent):
    good = agent.add_token("ops")
    session = session_of(agent.ask("/login?code=" + good, token=False))
    wrong = [agent.ask(METRICS, token=f"wsv_{i:043}", source="127.0.0.5") for i in range(12)]
    assert [a.status for a in wrong] == [401] * 10 + [429] * 2
    assert 0 < int(wrong[-1].headers["retry-after"]) <= 61 and "too many wrong credentials" in wrong[-1].json["error"]
    # from there: neither a login nor a guess, but whoever has a token or session goes on
    assert agent.ask("/login?code=" + good, token=False, source="127.0.0.5").status == 429
    assert agent.ask(agent.link, token=False, source="127.0.0.5").status == 429
    assert status_of(agent, False, source="127.0.0.5") == 401
    assert status_of(agent, good, source="127.0.0.5") == 200
    assert status_of(agent, False, source="127.0.0.5", headers=as_session(session)) == 200
    assert agent.ask("/healthz", token=False, source="127.0.0.5").status == 200
    # from elsewhere: as ever, and the link was not used up
    assert status_of(agent, "wsv_" + "A" * 43, source="127.0.0.6") == 401
    assert agent.ask(agent.link, token=False, source="127.0.0.6").status == 303


def test_wrong_logins_and_sessions_count_too(agent):
    for i in range(5):
        assert agent.ask(f"/login?code=wsv_{i:043}", token=False, source="127.0.0.7").status == 401
        assert status_of(agent, False, source="127.0.0.7", headers=as_session(f"wsv_{i:043}")) == 401
    assert agent.ask(f"/login?code=wsv_{9:043}", token=False, source="127.0.0.7").status == 429
    assert status_of(agent, False, source="127.0.0.7", headers=as_session("wsv_" + "A" * 43)) == 429
    logins = [line for line in agent.log().splitlines() if "login" in line and "level=warning" in line]
    assert 5 <= len(logins) <= 11, "a guesser fills no disk: what is locked out is one line a minute"
    assert "wsv_" not in agent.log()


def test_the_log_and_the_process_list_show_no_secret(agent):
    token = agent.add_token("ops")
    agent.ask(METRICS, token=token)
    agent.ask("/login?code=" + token, token=False)
    agent.ask(agent.link, token=False)
    code = agent.link.partition("=")[2]
    shown = agent.log() + "".join(Path(f"/proc/{pid}/{name}").read_text() for pid in (agent.pid, agent.agent_pid) for name in ("cmdline", "environ"))
    assert token not in shown and code not in shown and agent.command("config")[1].count("wsv_") == 0


# --- configuration, where access is decided ---

def test_a_broken_configuration_has_no_values(tmp_path):
    """`config` without an agent says what is wrong, and nothing that would not come true."""
    agent = Agent.__new__(Agent)  # its places only: none is started
    file = tmp_path / "x.conf"
    agent.places = ("--run-dir", str(tmp_path / "run"), "--config", str(file))
    file.write_text("[agent]\nport = 80\n")
    status, out, err = agent.command("config")
    assert status == 0 and re.search(r"^port += 80 +# .*x\.conf:2$", out, re.M)
    for text, words in (("[agent]\nport = x\n", "x.conf:2: port takes ports"), ("[agent] port = 80\n", "x.conf:1: only a comment"),
                        ("[agent]\nlisten = [127.0.0.1]:80\n", "x.conf:2: listen takes an address"), ("[agent]\nx = \x1b[2J\n", "x.conf:2: [agent] has no key")):
        file.write_text(text)
        status, out, err = agent.command("config")
        assert (status, out) == (1, "") and words in err and err.count("\n") == 1 and "\x1b" not in err, err


def test_the_answer_to_a_stranger_is_no_larger_than_it_must_be(agent):
    """Nothing of what is counted, of the host or of the version reaches who has no token."""
    for path in (METRICS, "/metrics", "/", "/nothing", "/page.js", "/healthz", "/local/doctor", "/api/websocket/about"):
        answer = agent.ask(path, token=False)
        assert len(answer.body) < (1500 if path == "/login" else 200) and "server" not in answer.headers, answer.headers
        assert not re.search(r"\d+\.\d+\.\d+|wsvitals[/-]\d|linux", answer.text, re.I), answer
    assert json.loads(agent.ask("/healthz", token=False).body) == {"status": "ok", "engine": "counting"}
    wait_until(lambda: agent.ask_local("/local/version")[0] == 200, "the local socket")

"""A proxy in front of an application: a conversation counts once in the totals, each leg shows under its own server, and the
proxy's legs to the application are upstream. The client's tally is what the totals must equal, as if there were no proxy."""
import os
import socket
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ends import RFC_KEY, Ends, request, response
from exposition import parse
from scenarios import SCENARIOS, Peer, text_of, together
from servers import Running, Server, free_port, wait_until
from test_paths import states, unix
from watch import Watch, assert_balanced, assert_equal
from wsclient import BINARY, TEXT, Refused, frame

NGINX = """
user root; worker_processes 2; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
    uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    upstream application {{ server {backend}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        location /own/ {{ return 404; }}
        location / {{
            proxy_pass http://application; proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $host;
        }}
    }}
}}
"""
APACHE = """
ServerRoot {dir}
ServerName localhost
PidFile {dir}/apache.pid
ErrorLog {dir}/error.log
Mutex file:{dir}
Listen 127.0.0.1:{port}
LoadModule mpm_{mpm}_module /usr/lib/apache2/modules/mod_mpm_{mpm}.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule proxy_wstunnel_module /usr/lib/apache2/modules/mod_proxy_wstunnel.so
User www-data
Group www-data
ProxyPass /own/ !
ProxyPass / http://{backend}/ upgrade=websocket
"""
PROXIES = {
    "nginx": ("nginx", NGINX, ("/usr/sbin/nginx", "-c", "{conf}", "-e", "{dir}/error.log")),
    "apache_event": ("apache2", APACHE, ("/usr/sbin/apache2", "-f", "{conf}", "-DFOREGROUND")),
    "apache_prefork": ("apache2", APACHE, ("/usr/sbin/apache2", "-f", "{conf}", "-DFOREGROUND")),
}


@contextmanager
def proxy(name, backend):
    comm, conf, command = PROXIES[name]
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="wsv-proxy-") as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "proxy.conf"
        path.write_text(conf.format(dir=folder, port=port, backend=backend, mpm=name.partition("_")[2]))
        command = tuple(word.format(conf=path, dir=folder) for word in command)
        # in a session of its own: apache ends by a signal to its process group
        with Running(Server(name, command, comm=comm), prefix=("setsid",), port=port) as running:
            yield running


@contextmanager
def in_front(running, name, application="node_ws"):
    """(proxy, application, peer through the proxy)"""
    app = running(application)
    with proxy(name, f"127.0.0.1:{app.port}") as front:
        # what the client may ask for is what the application can do
        peer = Peer(front)
        peer.server = app.server
        yield front, app, peer


def scope(*processes):
    return [word for p in processes for word in ("--pid", p.pid)]


def wait_idle(*all_running):
    for running in all_running:
        running.wait_idle()


MIX = ("every_length", "empty_messages", "fragments_with_pings_between", "byte_by_byte", "pipelined_bursts", "pushes",
       "several_connections", "client_closes", "server_closes", "refused_upgrades", "server_pings")


@pytest.mark.parametrize("name", PROXIES)
def test_a_conversation_counts_once(running, name):
    with in_front(running, name) as (front, app, peer):
        with Watch(*scope(front, app)) as watch:
            together(lambda i: SCENARIOS[MIX[i]].run(peer), len(MIX), at_once=4)
            wait_idle(front, app)
            dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert dump["upstream"] == {"connections": 0, "messages": peer.tally["received"] + peer.tally["sent"]}


@pytest.mark.parametrize("name", PROXIES)
def test_each_leg_shows_under_its_server(running, name):
    with in_front(running, name) as (front, app, peer):
        with Watch(*scope(front, app)) as watch:
            held = [peer.connect("/room") for _ in range(3)]
            direct = Peer(app, tally=peer.tally).connect("/room")
            for c in (*held, direct):
                c.ask("hello")
            dump = watch.finish()
        for c in (*held, direct):
            c.close(1000)
    proxied, own = f"{front.server.comm}:{front.port}", f"node:{app.port}"
    connections = dump["connections"]
    assert connections["total"] == 4 == peer.tally["opened"]
    assert {n.partition("@")[0]: k for n, k in connections["by_server"].items()} == {proxied: 3, own: 4}
    assert {n.partition("@")[0]: k for n, k in connections["by_proxy"].items()} == {proxied: 3}
    assert connections["by_channel"] == {"/room": 4}
    assert dump["messages"]["received"] == 4
    assert dump["upstream"] == {"connections": 3, "messages": 6}
    assert_balanced(dump)


def test_the_proxys_own_numbers_are_those_of_what_it_passed_on(running):
    with in_front(running, "nginx") as (front, app, peer):
        with Watch(*scope(front, app), form="--prometheus") as watch:
            for _ in range(5):
                c = peer.connect()
                for n in (1, 200, 70000):
                    c.echo(TEXT, text_of(n))
                c.close(1000)
            wait_idle(front, app)
            text = watch.finish()
    families = parse(text)

    def value(name, running_server, **labels):
        found = [s.value for s in families[name].samples
                 if s.label("server").partition("@")[0].endswith(f":{running_server.port}") and dict(s.labels).items() >= labels.items()]
        assert len(found) == 1, (name, labels, found)
        return found[0]

    for server in (front, app):
        for direction in ("received", "sent"):
            assert value("wsvitals_messages_total", server, direction=direction) == 15
            assert value("wsvitals_message_bytes_total", server, direction=direction) == peer.tally[f"bytes_{direction}"] == 5 * 70201
        assert value("wsvitals_connections_opened_total", server) == 5
        assert value("wsvitals_server_passes_on", server) == (server is front)


def test_a_proxy_whose_server_is_not_watched_counts_itself(running):
    with in_front(running, "nginx") as (front, app, peer):
        with Watch(*scope(front)) as watch:
            SCENARIOS["several_connections"].run(peer)
            SCENARIOS["refused_upgrades"].run(peer)
            wait_idle(front, app)
            dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert list(dump["connections"]["by_proxy"]) == []
    assert dump["upstream"]["messages"] == peer.tally["received"] + peer.tally["sent"]


def test_what_the_proxy_answers_itself_is_its_own(running):
    with in_front(running, "nginx") as (front, app, peer):
        with Watch(*scope(front, app)) as watch:
            c = peer.connect()
            c.ask("passed on")
            c.close(1000)
            with pytest.raises(Refused):
                peer.connect("/own/path")
            wait_idle(front, app)
            dump = watch.finish()
    assert peer.tally["refused.404"] == 1
    assert_equal(dump, peer.tally)


def test_a_proxy_behind_a_proxy(running):
    """client -> nginx -> nginx -> application: still one conversation."""
    with in_front(running, "nginx") as (inner, app, _), proxy("nginx", f"127.0.0.1:{inner.port}") as outer:
        peer = Peer(outer)
        peer.server = app.server
        with Watch(*scope(outer, inner, app)) as watch:
            SCENARIOS["several_connections"].run(peer)
            SCENARIOS["refused_upgrades"].run(peer)
            wait_idle(outer, app)  # the inner one keeps the outer one's connections for later requests
            dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert dump["upstream"]["messages"] == 2 * (peer.tally["received"] + peer.tally["sent"])
    assert len(dump["connections"]["by_proxy"]) == 2


def test_over_a_unix_socket(tmp_path):
    """nginx before an application that listens on a path: the totals are the client's, and each leg shows."""
    where = str(tmp_path / "app.sock")
    with Running(unix("plain"), host=where) as app:
        os.chmod(tmp_path, 0o755)
        with proxy("nginx", f"unix:{where}") as front:
            peer = Peer(front)
            with Watch(*scope(front, app)) as watch:
                for _ in range(5):
                    c = peer.connect("/room")
                    for n in (1, 200, 70000):
                        c.echo(TEXT, text_of(n))
                    c.ping()
                    c.close(1000)
                wait_idle(front, app)
                # ends of Unix connections without an event are found by the walk, once a second
                wait_until(lambda: not states(watch.pid), "the table of Unix sockets to be empty")
                dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert dump["upstream"] == {"connections": 0, "messages": peer.tally["received"] + peer.tally["sent"]}
    assert [n.partition("@")[0] for n in dump["connections"]["by_proxy"]] == [f"nginx:{front.port}"]


def test_a_key_that_was_passed_on_before_says_nothing_of_the_next_connection():
    """This process has upstream legs with the very key that its clients come with again and again."""
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        with Watch("--port", listener.getsockname()[1], "--pid", os.getpid()) as watch:
            for _ in range(3):
                with Ends(listener, RFC_KEY) as ends:
                    ends.up(frame(TEXT, b"hello"))
            dump = watch.finish()
    assert (dump["connections"]["created"], dump["messages"]["received"]) == (3, 3)
    assert list(dump["connections"]["by_proxy"]) == []
    assert_balanced(dump)


LONG = response(RFC_KEY) + frame(BINARY, bytes(16 << 20), masked=False)


def answer_at_length(listener):
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(LONG)
    connection.recv(1)


def test_a_server_whose_answering_write_takes_long_is_behind_its_proxy_all_the_same():
    """The proxy has passed the 101 on before the write that carries it returns in the server."""
    with ExitStack() as stack:
        front, behind = (stack.enter_context(socket.create_server(("127.0.0.1", free_port()))) for _ in range(2))
        server = os.fork()
        if not server:
            try:
                answer_at_length(behind)
            finally:
                os._exit(0)
        stack.callback(os.waitpid, server, 0)
        ports = [listener.getsockname()[1] for listener in (front, behind)]
        with Watch("--port", ",".join(map(str, ports))) as watch:
            client = stack.enter_context(socket.create_connection(front.getsockname()))
            client.sendall(request(RFC_KEY))
            accepted = stack.enter_context(front.accept()[0])
            leg = stack.enter_context(socket.create_connection(behind.getsockname()))
            leg.sendall(accepted.recv(65536))
            passed = leg.recv(len(response(RFC_KEY)), socket.MSG_WAITALL)
            accepted.sendall(passed)
            while len(passed) < len(LONG):
                passed += leg.recv(1 << 20)
            assert passed == LONG
            leg.sendall(b"x")
            assert leg.recv(1) == b""  # now the server's write is over, and so is its process
            dump = watch.finish()
    assert dump["connections"]["created"] == 1
    assert list(dump["connections"]["by_proxy"]) == [next(n for n in dump["connections"]["by_server"] if n.endswith(f":{ports[0]}"))]
    assert dump["messages"]["sent"] == 1
    assert_balanced(dump)

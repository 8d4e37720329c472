import threading

import pytest
import uvicorn
from fastapi.testclient import TestClient

from retriever.serve import ServeSettings, create_app
from retriever.serve.tokens import make_token

READ, WRITE = "read-token-of-the-tests", "write-token-of-the-tests"


@pytest.fixture
def serve(make):
    """Start an app over the small corpus; returns a client. Settings are keyword arguments."""
    clients = []

    def start(*, retriever=None, retrievers=None, path=None, headers=None, **settings):
        served = retrievers or {"docs": retriever or make(path=path)}
        app = create_app(served, ServeSettings(**settings))
        client = TestClient(
            app, base_url="http://localhost", headers=headers or {}, raise_server_exceptions=False
        )
        clients.append(client.__enter__())
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def tokens():
    return (make_token("read", READ), make_token("write", WRITE))


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def live(make):
    """Serve the small corpus on a real port from a thread; returns the address."""
    running = []

    def start(*, retriever=None, name="docs", **settings):
        app = create_app({name: retriever or make()}, ServeSettings(**settings))
        config = uvicorn.Config(app, port=0, log_config=None)
        server, listening = uvicorn.Server(config), config.bind_socket()
        listening.listen()  # who comes before the server is up waits
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    def stop():
        for server, _ in running:
            server.should_exit = True

    start.stop = stop
    yield start
    stop()
    for _, thread in running:
        thread.join(timeout=20)

"""Python's clients, by the protocol of driver.mjs: one JSON object per line.

Each of the versions "sync" (threads, requests, websocket-client) and "asyncio" (aiohttp)
has a class with the same commands. The main thread runs the event loop; commands of "sync"
run in threads of their own.
"""
import asyncio
import base64
import importlib.metadata
import json
import platform
import sys
import threading

import aiohttp
import requests
import socketio
import websocket

output = threading.Lock()


def pack(value):
    if isinstance(value, (bytes, bytearray)):
        return {"$binary": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value)} is not JSON")


def unpack(value):
    return base64.b64decode(value["$binary"]) if "$binary" in value else value


def write(line):
    text = json.dumps(line, default=pack)
    with output:
        print(text, flush=True)


def options_of(command):
    """The options of a client, and the arguments of its connect, from those of socket.io-client."""
    o = command["options"]
    client = {
        "reconnection": o.get("reconnection", False),
        "reconnection_delay": o["reconnectionDelay"] / 1000,
        "reconnection_delay_max": o["reconnectionDelayMax"] / 1000,
        "randomization_factor": 0,
        "handle_sigint": False,
    }
    connect = {
        "headers": o.get("extraHeaders") or {},
        "auth": o.get("auth"),
        "transports": o.get("transports"),
        "socketio_path": o.get("path", "socket.io").strip("/"),
        "wait_timeout": 10,
    }
    return client, connect


def watch(client, sio, answers):
    """Reports the events of a client."""
    report = lambda event, *args: write({"client": client, "event": event, "args": args})

    def connected():
        report("connect", {"id": sio.get_sid(), "transport": sio.transport(), "recovered": False})

    def caught(event, *args):
        report(event, *args)
        return answers.get(event)

    sio.on("connect", connected)
    sio.on("disconnect", lambda: report("disconnect"))
    sio.on("connect_error", lambda why=None: report("connect_error", {"message": str(why)}))
    sio.on("*", caught)


def state(sio):
    connected = sio.get_sid() is not None  # sio.connected is set some time after the event
    return {
        "id": sio.get_sid() or "",
        "engine": sio.eio.sid or "",
        "transport": sio.transport() if connected else "",
        "connected": connected,
    }


class Sync:
    def __init__(self):
        self.sessions, self.clients, self.answers = {}, {}, {}

    def session(self, command):
        self.sessions[command["session"]] = requests.Session()

    def fetch(self, command):
        request = command["request"]
        response = self.sessions[command["session"]].request(
            request.get("method", "GET"), request["url"], allow_redirects=False, timeout=20
        )
        return {"status": response.status_code, "header": dict(response.headers), "body": response.content}

    def connect(self, command):
        number = command["client"]
        client, connect = options_of(command)
        session = self.sessions.get(command["options"].get("session"))
        sio = self.clients[number] = socketio.Client(http_session=session, **client)
        self.answers[number] = {}
        watch(number, sio, self.answers[number])
        threading.Thread(target=self._connect, args=(sio, command["url"], connect), daemon=True).start()

    def _connect(self, sio, url, connect):
        try:
            sio.connect(url, **connect)
        except socketio.exceptions.ConnectionError:
            pass  # the event connect_error has told

    def emit(self, command):
        self.clients[command["client"]].emit(command["event"], tuple(command["args"]))

    def call(self, command):
        answered, answer = threading.Event(), []

        def callback(*args):
            answer.extend(args)
            answered.set()

        self.clients[command["client"]].emit(command["event"], tuple(command["args"]), callback=callback)
        if not answered.wait(command.get("timeout", 60_000) / 1000):
            raise TimeoutError("operation has timed out")
        return answer

    def answer(self, command):
        self.answers[command["client"]][command["event"]] = tuple(command["args"])

    def state(self, command):
        return state(self.clients[command["client"]])

    def disconnect(self, command):
        self.clients[command["client"]].disconnect()


class Asyncio:
    def __init__(self):
        self.sessions, self.clients, self.answers, self.tasks = {}, {}, {}, set()

    async def session(self, command):
        # Without unsafe, a CookieJar takes no cookies from an IP address.
        self.sessions[command["session"]] = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def fetch(self, command):
        request = command["request"]
        async with self.sessions[command["session"]].request(
            request.get("method", "GET"), request["url"], allow_redirects=False
        ) as response:
            return {"status": response.status, "header": dict(response.headers), "body": await response.read()}

    async def connect(self, command):
        number = command["client"]
        client, connect = options_of(command)
        session = self.sessions.get(command["options"].get("session"))
        sio = self.clients[number] = socketio.AsyncClient(http_session=session, **client)
        self.answers[number] = {}
        watch(number, sio, self.answers[number])
        task = asyncio.create_task(self._connect(sio, command["url"], connect))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connect(self, sio, url, connect):
        try:
            await sio.connect(url, **connect)
        except socketio.exceptions.ConnectionError:
            pass  # the event connect_error has told

    async def emit(self, command):
        await self.clients[command["client"]].emit(command["event"], tuple(command["args"]))

    async def call(self, command):
        answered = asyncio.get_running_loop().create_future()
        await self.clients[command["client"]].emit(
            command["event"], tuple(command["args"]), callback=lambda *args: answered.set_result(args)
        )
        return await asyncio.wait_for(answered, command.get("timeout", 60_000) / 1000)

    async def answer(self, command):
        self.answers[command["client"]][command["event"]] = tuple(command["args"])

    async def state(self, command):
        return state(self.clients[command["client"]])

    async def disconnect(self, command):
        await self.clients[command["client"]].disconnect()


class Plain:
    """WebSockets of websocket-client, without Socket.IO."""

    def __init__(self):
        self.sockets = {}

    def plain(self, command):
        number = command["client"]
        report = lambda event, *args: write({"client": number, "event": event, "args": args})

        def message(_, data, kind, __):
            if kind == websocket.ABNF.OPCODE_TEXT:
                report("text", data.decode() if isinstance(data, bytes) else data)
            else:
                report("binary", bytes(data))

        ws = self.sockets[number] = websocket.WebSocketApp(
            command["url"],
            header=[f"{name}: {value}" for name, value in command["headers"].items()],
            subprotocols=command.get("protocols") or [],
            on_open=lambda ws: report("open", ws.sock.getsubprotocol()),
            on_data=message,
            on_error=lambda _, error: print(f"websocket-client: {error!r}", file=sys.stderr),
            on_close=lambda _, code, __: report("close", code or 1006),
        )
        threading.Thread(target=ws.run_forever, daemon=True).start()

    def plainSend(self, command):
        message = command["message"]
        binary = isinstance(message, bytes)
        self.sockets[command["client"]].send(
            message, websocket.ABNF.OPCODE_BINARY if binary else websocket.ABNF.OPCODE_TEXT
        )

    def plainClose(self, command):
        # close() of a WebSocketApp does not wake its own thread.
        self.sockets[command["client"]].sock.send_close()


versions = {"sync": Sync(), "asyncio": Asyncio()}
plain = Plain()
version_of = {}  # client or session number -> its version


async def run(command):
    op = command["op"]
    if op == "versions":
        names = ("python-socketio", "python-engineio", "requests", "aiohttp", "websocket-client")
        return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}
    if op.startswith("plain"):
        return await asyncio.to_thread(getattr(plain, op), command)
    number = command.get("client") or command["session"]
    if op in ("session", "connect"):
        version_of[number] = versions[command["version"]]
    commands = version_of[number]
    if isinstance(commands, Sync):
        return await asyncio.to_thread(getattr(commands, op), command)
    return await getattr(commands, op)(command)


async def answer(command):
    try:
        write({"id": command["id"], "result": await run(command)})
    except Exception as error:
        write({"id": command["id"], "error": f"{type(error).__name__}: {error}"})


async def main():
    running = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        task = asyncio.create_task(answer(json.loads(line, object_hook=unpack)))
        running.add(task)
        task.add_done_callback(running.discard)
    for sio in versions["asyncio"].clients.values():
        sio.reconnection = False
        await sio.disconnect()
        if sio.eio.http:  # a request after its end opens a new one
            await sio.eio.http.close()
    for session in versions["asyncio"].sessions.values():
        await session.close()
    for sio in versions["sync"].clients.values():
        sio.reconnection = False
        await asyncio.to_thread(sio.disconnect)


asyncio.run(main())

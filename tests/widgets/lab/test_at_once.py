"""The connection from a kernel to its page: TCP holds nothing back."""

from importlib import import_module

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler

from widgets.lab.command import AT_ONCE


class Handler(KernelWebsocketHandler):
    """A handler of nobody's, which notes what it is told."""

    def __init__(self):
        self.told = []

    def set_nodelay(self, value):
        self.told.append(value)


def test_the_class_that_is_named_switches_the_delay_off_and_then_does_as_the_server_does(monkeypatch):
    (name,) = AT_ONCE.values()
    module, _, kind = name.rpartition(".")
    handler = Handler()
    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "connect", lambda self: list(handler.told))
    made = getattr(import_module(module), kind).__new__(getattr(import_module(module), kind))
    made.websocket_handler = handler
    assert made.connect() == [True]

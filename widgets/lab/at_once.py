"""What a kernel says reaches the page at once: the connection that `vsim lab` gives JupyterLab's server.

One click makes a kernel say several short things, each a TCP segment of its own. Jupyter's server lets TCP hold back
the second until the first is acknowledged (Nagle's algorithm), and a page with nothing to send acknowledges after up
to 40 ms (delayed acknowledgement): whoever flips bits quickly waits that long for every forecast.
"""

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class AtOnce(ZMQChannelsWebsocketConnection):
    """The server's own connection from a kernel to a page, with TCP_NODELAY."""

    def connect(self) -> Any:
        """As the server does it."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()

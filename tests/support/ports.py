"""A port on 127.0.0.1 for a server that starts a while later."""

import random
import socket

BELOW_EPHEMERAL = range(20_000, 32_000)  # the kernel gives none of these to a connection meanwhile


def free_port():
    for port in random.SystemRandom().sample(BELOW_EPHEMERAL, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port")

"""The processes of a cell meet before they train together, and nobody waits for ever or in silence.

Torch's own rendezvous waits for half an hour and does not say for whom.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from gxpo.host import UserError, environment

NOTICE = timedelta(seconds=10)
PATIENCE = timedelta(minutes=5)  # a cold file system takes minutes to import torch


def meet(
    notice: timedelta = NOTICE, patience: timedelta = PATIENCE, reach: timedelta = PATIENCE
) -> None:
    """Wait until every process that was launched for this cell is here; at once where it is alone.

    After ``notice`` standard error says for whom; after ``patience`` more, UserError does. It is
    also raised where the launcher that the environment names is not there within ``reach``.
    """
    if not environment.launched():
        return
    import torch.distributed as dist

    rank, world = environment.rank(), int(environment.read("WORLD_SIZE"))
    address, port = environment.read("MASTER_ADDR"), environment.read("MASTER_PORT")
    me = f"process {rank} of {world}"
    if environment.read("TORCHELASTIC_USE_AGENT_STORE") != "True" or not port.isdigit():
        raise UserError(
            f"{me} has no launcher: {environment.RANKS} is for what accelerate launch or torchrun "
            "starts; unset it, or gxpo train --processes N"
        )
    try:
        store = dist.TCPStore(address, int(port), is_master=False, timeout=reach)
    except RuntimeError as error:
        raise UserError(
            f"{me} does not reach its launcher at {address}:{port}: unset {environment.RANKS} if "
            "it is left over from another launch"
        ) from error
    here = [f"gxpo/{environment.read('TORCHELASTIC_RESTART_COUNT')}/{i}" for i in range(world)]
    store.set(here[rank], "here")
    for wait, last in ((notice, False), (patience, True)):
        try:
            store.wait(here, wait)
            return
        except RuntimeError:
            missing = [str(i) for i, key in enumerate(here) if not store.check([key])]
        said = f"{me} waits for {', '.join(missing)} (launcher at {address}:{port})"
        if last:
            raise UserError(f"{said}: gave up after {(notice + patience).total_seconds():g} s")
        print(said, file=sys.stderr)

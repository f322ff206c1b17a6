"""Rules that go wrong in company: with DDP, on shards."""

from support.broken_methods.rule import DDP, DTENSOR, Broken, update

DISTRIBUTED = [
    Broken(
        "decides by its own half of the batch",
        (DDP, DTENSOR),
        "the processes end at different parameters|it ends elsewhere than one process",
        update(
            after="own = torch.cat([part.advantages for part in batch._micro_batches]).mean()\n"
            "with torch.no_grad():\n"
            "    for p in batch.parameters:\n"
            "        p.mul_(1 + 0.01 * float(own))"
        ),
    ),
    Broken(
        "sums its own shard",
        (DTENSOR,),
        "the processes report different diagnostics|it ends elsewhere than one process",
        "def update(self, batch: PolicyBatch):\n"
        "    batch.backward()\n"
        "    squares = [(g * g).sum() for g in batch.gradients]\n"
        "    squares = [s.to_local() if hasattr(s, 'to_local') else s for s in squares]\n"
        "    norm = sum(s.item() for s in squares) ** 0.5\n"
        "    with torch.no_grad():\n"
        "        for p in batch.parameters:\n"
        "            p.mul_(1 - 0.01 * norm)\n"
        "    batch.step()\n"
        "    return {}",
    ),
    Broken(
        "dearer in company",
        (DDP, DTENSOR),
        "it costs .*, in one process",
        update(between="if torch.distributed.is_initialized():\n    batch.backward()"),
    ),
    Broken(
        "fails on one process",
        (DDP, DTENSOR),
        "raised ValueError: not on this one",
        update(
            "if torch.distributed.is_initialized() and torch.distributed.get_rank():\n"
            "    raise ValueError('not on this one')"
        ),
    ),
]
